/*
 * What the benchmark of signatures measures against: bare C_SignInit and C_Sign of the module that this backend already
 * uses, and objects that fill a token. The backend must be logged in (tp_hsm_login).
 */
#include "postgres.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <time.h>

#include "fmgr.h"
#include "utils/builtins.h"

static void
require(CK_RV rv, const char *function)
{
	if (rv != CKR_OK)
		elog(ERROR, "%s: 0x%lx", function, rv);
}

static double
cpu_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* The module's functions: those that trustpoint has initialised, as a library is loaded once. */
static CK_FUNCTION_LIST *
open_module(const char *path, CK_SESSION_HANDLE *session)
{
	void	   *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *api;
	CK_SLOT_ID	slots[16];
	CK_ULONG	count = 16;

	if (library == NULL)
		elog(ERROR, "%s", dlerror());
	get_list = (CK_C_GetFunctionList) dlsym(library, "C_GetFunctionList");
	require(get_list(&api), "C_GetFunctionList");
	require(api->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
	/* The first slot holds the one initialised token. */
	require(api->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session), "C_OpenSession");
	return api;
}

static CK_OBJECT_HANDLE
find_private_key(CK_FUNCTION_LIST *api, CK_SESSION_HANDLE session, const char *label)
{
	CK_OBJECT_CLASS object_class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE search[] = {{CKA_CLASS, &object_class, sizeof object_class}, {CKA_LABEL, (void *) label, strlen(label)}};
	CK_OBJECT_HANDLE handle;
	CK_ULONG	count = 0;

	require(api->C_FindObjectsInit(session, search, 2), "C_FindObjectsInit");
	require(api->C_FindObjects(session, &handle, 1, &count), "C_FindObjects");
	require(api->C_FindObjectsFinal(session), "C_FindObjectsFinal");
	if (count != 1)
		elog(ERROR, "no key \"%s\"", label);
	return handle;
}

/*
 * tp_bench_sign(module text, label text, rsa bool, count int) RETURNS double precision: nanoseconds of CPU of one bare
 * signature over 32 bytes by the private key, CKM_RSA_PKCS_PSS or CKM_ECDSA
 */
PG_FUNCTION_INFO_V1(tp_bench_sign);
Datum
tp_bench_sign(PG_FUNCTION_ARGS)
{
	char	   *label = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		rsa = PG_GETARG_BOOL(2);
	int			count = PG_GETARG_INT32(3);
	CK_SESSION_HANDLE session;
	CK_FUNCTION_LIST *api = open_module(text_to_cstring(PG_GETARG_TEXT_PP(0)), &session);
	CK_OBJECT_HANDLE key = find_private_key(api, session, label);
	CK_RSA_PKCS_PSS_PARAMS pss = {CKM_SHA256, CKG_MGF1_SHA256, 32};
	CK_MECHANISM mechanism = {rsa ? CKM_RSA_PKCS_PSS : CKM_ECDSA, rsa ? &pss : NULL, rsa ? sizeof pss : 0};
	unsigned char digest[32] = {1},
				signature[512];
	double		start = cpu_nanoseconds();

	for (int i = 0; i < count; i++)
	{
		CK_ULONG	size = sizeof signature;

		digest[0] = (unsigned char) i;
		require(api->C_SignInit(session, &mechanism, key), "C_SignInit");
		require(api->C_Sign(session, digest, sizeof digest, signature, &size), "C_Sign");
	}
	start = (cpu_nanoseconds() - start) / count;
	api->C_CloseSession(session);
	PG_RETURN_FLOAT8(start);
}

/* tp_bench_fill(module text, count int) RETURNS int: so many more objects in the token, which are no keys */
PG_FUNCTION_INFO_V1(tp_bench_fill);
Datum
tp_bench_fill(PG_FUNCTION_ARGS)
{
	CK_SESSION_HANDLE session;
	CK_FUNCTION_LIST *api = open_module(text_to_cstring(PG_GETARG_TEXT_PP(0)), &session);
	CK_OBJECT_CLASS object_class = CKO_DATA;
	CK_BBOOL	yes = CK_TRUE;
	CK_ATTRIBUTE object[] = {{CKA_CLASS, &object_class, sizeof object_class}, {CKA_TOKEN, &yes, sizeof yes},
	{CKA_VALUE, "x", 1}};
	CK_OBJECT_HANDLE handle;

	for (int i = 0; i < PG_GETARG_INT32(1); i++)
		require(api->C_CreateObject(session, object, 3, &handle), "C_CreateObject");
	api->C_CloseSession(session);
	PG_RETURN_INT32(PG_GETARG_INT32(1));
}
