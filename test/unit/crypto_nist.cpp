// The vectors of NIST's validation system (CAVS) and of the RFCs, as Debian installs them.
#include <gtest/gtest.h>

#include <string>

#include "crypto/gcm.hpp"
#include "crypto/kdf.hpp"
#include "crypto/short_gcm.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;
using test::Record;

std::vector<Record> Public(const std::string& path, const std::string& first) {
  return test::ReadVectors(TRUSTPOINT_PUBLIC_VECTORS "/" + path, first);
}

// Our formats use 12-byte nonces and whole tags; the files hold other sizes too.
bool IsOurs(const Record& record) { return record.Text("IVlen") == "96" && record.Text("Taglen") == "128"; }

TEST(NistVectors, GcmSealerGivesEveryCiphertextAndTag) {
  GcmSealer sealer;
  ShortGcmSealer short_sealer;
  int seen = 0;
  for (const Record& record : Public("ciphers/AES/GCM/gcmEncryptExtIV256.rsp", "Count")) {
    if (!IsOurs(record)) continue;
    const Buffer plaintext = record.Bytes("PT");
    Buffer ciphertext(plaintext.size());
    Buffer tag(kTagSize);
    sealer.SetKey(record.Bytes("Key"));
    sealer.Seal(record.Bytes("IV"), record.Bytes("AAD"), {}, plaintext, ciphertext, tag);
    ASSERT_EQ(ciphertext, record.Bytes("CT")) << record.Text("Key");
    ASSERT_EQ(tag, record.Bytes("Tag")) << record.Text("Key");
    Buffer short_ciphertext(plaintext.size());
    short_sealer.SetKey(record.Bytes("Key"));
    short_sealer.Seal(record.Bytes("IV"), record.Bytes("AAD"), {}, plaintext, short_ciphertext, tag);
    ASSERT_EQ(short_ciphertext, ciphertext);
    ASSERT_EQ(tag, record.Bytes("Tag")) << record.Text("Key");
    ++seen;
  }
  EXPECT_EQ(seen, 375);
}

TEST(NistVectors, GcmOpenerOpensWhatIsAuthenticAndRefusesTheRest) {
  GcmOpener opener;
  ShortGcmOpener short_opener;
  int opened = 0;
  int refused = 0;
  for (const Record& record : Public("ciphers/AES/GCM/gcmDecrypt256.rsp", "Count")) {
    if (!IsOurs(record)) continue;
    const Buffer ciphertext = record.Bytes("CT");
    Buffer plaintext(ciphertext.size(), 'x');
    opener.SetKey(record.Bytes("Key"));
    const bool authentic =
        opener.Open(record.Bytes("IV"), {}, record.Bytes("AAD"), ciphertext, record.Bytes("Tag"), plaintext);
    ASSERT_EQ(authentic, !record.Has("FAIL")) << record.Text("Key");
    ASSERT_EQ(plaintext, authentic ? record.Bytes("PT") : Buffer(ciphertext.size(), 0));
    Buffer short_plaintext(ciphertext.size(), 'x');
    short_opener.SetKey(record.Bytes("Key"));
    ASSERT_EQ(short_opener.Open(record.Bytes("IV"), record.Bytes("AAD"), {}, ciphertext, record.Bytes("Tag"),
                                short_plaintext),
              authentic);
    ASSERT_EQ(short_plaintext, plaintext);
    ++(authentic ? opened : refused);
  }
  EXPECT_EQ(opened + refused, 375);
  EXPECT_GT(opened, 100);
  EXPECT_GT(refused, 100);
}

TEST(Rfc4231Vectors, HmacSha256GivesEveryCode) {
  int seen = 0;
  for (const Record& record : Public("HMAC/rfc-4231-sha256.txt", "Len")) {
    const Buffer message = record.Bytes("Msg");
    EXPECT_EQ(test::ToHex(HmacSha256(record.Bytes("Key"), {message})), record.Text("MD"));
    // In parts, of which some are empty, it is the same message.
    const base::Bytes whole(message);
    EXPECT_EQ(test::ToHex(HmacSha256(record.Bytes("Key"), {{}, whole.first(3), {}, whole.subspan(3)})),
              record.Text("MD"));
    ++seen;
  }
  EXPECT_GE(seen, 6);
}

TEST(Rfc5869Vectors, HkdfSha256GivesEveryKeyOfAnEmptySalt) {
  int seen = 0;
  for (const Record& record : Public("KDF/rfc-5869-HKDF-SHA256.txt", "COUNT")) {
    if (!record.Text("salt").empty()) continue;
    const Buffer info = record.Bytes("info");
    Buffer out(std::stoul(record.Text("L")));
    HkdfSha256(record.Bytes("IKM"), base::AsText(info), out);
    EXPECT_EQ(test::ToHex(out), record.Text("OKM"));
    ++seen;
  }
  EXPECT_EQ(seen, 1);
}

}  // namespace
}  // namespace trustpoint::crypto
