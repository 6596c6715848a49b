/*
 * What the benchmark of SQL measures against, in the same process: a function that only copies, OpenSSL's EVP with a
 * kept context in a bare loop, and the CPU time of the backend.
 */
#include "postgres.h"

#include <openssl/evp.h>
#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"

PG_MODULE_MAGIC;

#define NONCE_SIZE 12
#define TAG_SIZE 16

static double
cpu_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* tp_bench_cpu() RETURNS double precision: nanoseconds of CPU that this backend has used */
PG_FUNCTION_INFO_V1(tp_bench_cpu);
Datum
tp_bench_cpu(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(cpu_nanoseconds());
}

/* tp_bench_copy(value bytea, change int) RETURNS bytea: a copy, so many bytes longer or, where negative, shorter */
PG_FUNCTION_INFO_V1(tp_bench_copy);
Datum
tp_bench_copy(PG_FUNCTION_ARGS)
{
	bytea	   *value = PG_GETARG_BYTEA_PP(0);
	int			change = PG_GETARG_INT32(1);
	int			size = VARSIZE_ANY_EXHDR(value);
	bytea	   *copy = (bytea *) palloc(size + change + VARHDRSZ);

	SET_VARSIZE(copy, size + change + VARHDRSZ);
	memcpy(VARDATA(copy), VARDATA_ANY(value), change < 0 ? size + change : size);
	PG_RETURN_BYTEA_P(copy);
}

static void
require(bool good)
{
	if (!good)
		elog(ERROR, "OpenSSL failed");
}

static void
seal(EVP_CIPHER_CTX *context, const unsigned char *nonce, const unsigned char *aad, int aad_size,
	 const unsigned char *in, int size, unsigned char *out, unsigned char *tag)
{
	int			written;

	require(EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
			EVP_EncryptUpdate(context, NULL, &written, aad, aad_size) == 1 &&
			EVP_EncryptUpdate(context, out, &written, in, size) == 1 &&
			EVP_EncryptFinal_ex(context, out + written, &written) == 1 &&
			EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) == 1);
}

static void
open_sealed(EVP_CIPHER_CTX *context, const unsigned char *nonce, const unsigned char *aad, int aad_size,
			const unsigned char *in, int size, unsigned char *out, unsigned char *tag)
{
	int			written;

	require(EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
			EVP_DecryptUpdate(context, NULL, &written, aad, aad_size) == 1 &&
			EVP_DecryptUpdate(context, out, &written, in, size) == 1 &&
			EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
			EVP_DecryptFinal_ex(context, out + written, &written) == 1);
}

/*
 * tp_bench_evp(decrypt bool, count int, size int, aad_size int) RETURNS double precision: nanoseconds of CPU that EVP's
 * AES-256-GCM takes for one value, its context being kept
 */
PG_FUNCTION_INFO_V1(tp_bench_evp);
Datum
tp_bench_evp(PG_FUNCTION_ARGS)
{
	bool		decrypt = PG_GETARG_BOOL(0);
	int			count = PG_GETARG_INT32(1);
	int			size = PG_GETARG_INT32(2);
	int			aad_size = PG_GETARG_INT32(3);
	unsigned char key[32] = {1},
				nonce[NONCE_SIZE] = {2},
				tag[TAG_SIZE];
	unsigned char *aad = palloc0(aad_size + 1);
	unsigned char *plain = palloc0(size + 1);
	unsigned char *sealed = palloc0(size + 1);
	EVP_CIPHER_CTX *sealer = EVP_CIPHER_CTX_new();
	EVP_CIPHER_CTX *opener = EVP_CIPHER_CTX_new();
	double		start;

	require(EVP_EncryptInit_ex(sealer, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
			EVP_DecryptInit_ex(opener, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
	seal(sealer, nonce, aad, aad_size, plain, size, sealed, tag);
	start = cpu_nanoseconds();
	if (decrypt)
		for (int i = 0; i < count; i++)
			open_sealed(opener, nonce, aad, aad_size, sealed, size, plain, tag);
	else
		for (int i = 0; i < count; i++)
		{
			memcpy(nonce, &i, sizeof i);
			seal(sealer, nonce, aad, aad_size, plain, size, sealed, tag);
		}
	start = (cpu_nanoseconds() - start) / count;
	EVP_CIPHER_CTX_free(sealer);
	EVP_CIPHER_CTX_free(opener);
	PG_RETURN_FLOAT8(start);
}
