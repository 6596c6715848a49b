// Public keys against the vectors of NIST and against OpenSSL's own signatures.
#include "crypto/public_key.hpp"

#include <algorithm>
#include <fstream>

#include "crypto/ecdsa.hpp"
#include "crypto/rsa_block.hpp"
#include "unit/crypto_fixture.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;
using test::AlgorithmsOf;
using test::Buffer;
using test::CodeOf;
using test::kCurves;
using test::kPaddings;
using test::OpenSslSign;

const std::string kVectors = std::string(TRUSTPOINT_PUBLIC_VECTORS) + "/asymmetric/";
const Buffer kData = {'d', 'a', 't', 'a'};

// "SHA224", "SHA-224"; sha1 too, which is no algorithm of ours.
std::optional<Hash> HashOfVector(std::string name) {
  std::erase(name, '-');
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c == 'S' ? 's' : c == 'H' ? 'h' : c == 'A' ? 'a' : c;
  });
  return HashFromName(name);
}

// The vectors of a file whose modulus stands before its group.
int CheckRsaVectors(const std::string& file, Scheme scheme) {
  std::ifstream in(kVectors + "RSA/FIPS_186-2/" + file);
  std::map<std::string, std::string> fields;
  int checked = 0;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    fields[name] = line.substr(equals + 3);
    if (name != "Result") continue;
    const auto hash = HashOfVector(fields["SHAAlg"]);
    if (!hash) continue;
    const PublicKey key = PublicKey::FromRsa(test::FromHex(fields["n"]), test::FromHex(fields["e"]));
    const Digest digest = HashOf(*hash, test::FromHex(fields["Msg"]));
    EXPECT_EQ(key.Verify({scheme, *hash}, digest, test::FromHex(fields["S"])), fields["Result"][0] == 'P')
        << file << " " << fields["Msg"];
    ++checked;
  }
  return checked;
}

TEST(PublicKey, AgreesWithNistOnRsaSignatures) {
  EXPECT_GT(CheckRsaVectors("SigVer15_186-3.rsp", Scheme::kRsaPkcs1), 100);
  EXPECT_GT(CheckRsaVectors("SigVerPSS_186-3.rsp", Scheme::kRsaPss), 100);
}

// Calls check(curve, header, fields) at each line that begins with the name.
template <class Check>
void ForEachEcVector(const std::string& file, const std::string& last, Check check) {
  std::ifstream in(kVectors + "ECDSA/FIPS_186-3/" + file);
  std::map<std::string, std::string> fields;
  std::string header;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.starts_with('[')) header = line.substr(1, line.size() - 2);
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos) continue;
    const std::string name = line.substr(0, equals);
    fields[name] = line.substr(equals + 3);
    const auto curve = CurveFromName(header.substr(0, 5));
    if (name == last && curve) check(*curve, header, fields);
  }
}

// As long as a coordinate: vectors leave zeros at the front out.
Buffer Padded(const std::string& hex, Curve curve) {
  Buffer number = test::FromHex(hex.size() % 2 != 0 ? "0" + hex : hex);
  if (number.size() < CurveSize(curve)) number.insert(number.begin(), CurveSize(curve) - number.size(), 0);
  return number;
}

Buffer Point(Curve curve, std::map<std::string, std::string>& fields) {
  Buffer point = {0x04};
  for (const char* name : {"Qx", "Qy"}) {
    const Buffer coordinate = Padded(fields[name], curve);
    point.insert(point.end(), coordinate.begin(), coordinate.end());
  }
  return point;
}

TEST(PublicKey, AgreesWithNistOnEcdsaSignatures) {
  int checked = 0;
  ForEachEcVector("SigVer.rsp", "Result", [&](Curve curve, const std::string& header, auto& fields) {
    const auto hash = HashOfVector(header.substr(header.find(',') + 1));
    if (!hash) return;
    Buffer raw = Padded(fields["R"], curve);
    const Buffer s = Padded(fields["S"], curve);
    raw.insert(raw.end(), s.begin(), s.end());
    Buffer der(kMaxEcdsaDerSize);
    der.resize(EcdsaRawToDer(raw, der));
    const bool verifies =
        PublicKey::FromEc(curve, Point(curve, fields))
            .Verify({Scheme::kEcdsa, *hash}, HashOf(*hash, test::FromHex(fields["Msg"])), der);
    EXPECT_EQ(verifies, fields["Result"][0] == 'P') << header << " " << fields["Msg"];
    ++checked;
  });
  EXPECT_GT(checked, 100);
}

TEST(PublicKey, AgreesWithNistOnPointsOfCurves) {
  int checked = 0;
  ForEachEcVector("PKV.rsp", "Result", [&](Curve curve, const std::string&, auto& fields) {
    const auto code = CodeOf([&] { PublicKey::FromEc(curve, Point(curve, fields)); });
    EXPECT_EQ(code == std::nullopt, fields["Result"][0] == 'P') << fields["Qx"];
    ++checked;
  });
  EXPECT_GT(checked, 20);
}

TEST(PublicKey, VerifiesWhatOpenSslSigns) {
  for (const SignatureAlgorithm algorithm : AlgorithmsOf(KeyType::kRsa)) {
    const PublicKey key = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
    Buffer signature = OpenSslSign(test::RsaKey(), algorithm, kData);
    const Digest digest = HashOf(algorithm.hash, kData);
    EXPECT_TRUE(key.Verify(algorithm, digest, signature)) << SignatureAlgorithmName(algorithm);
    EXPECT_FALSE(key.Verify(algorithm, HashOf(algorithm.hash, {}), signature));
    signature[5] ^= 1;
    EXPECT_FALSE(key.Verify(algorithm, digest, signature));
  }
  for (const Curve curve : kCurves)
    for (const SignatureAlgorithm algorithm : AlgorithmsOf(KeyType::kEc)) {
      const PublicKey key = PublicKey::FromPem(test::PublicPem(test::EcKey(curve)));
      const Buffer signature = OpenSslSign(test::EcKey(curve), algorithm, kData);
      EXPECT_TRUE(key.Verify(algorithm, HashOf(algorithm.hash, kData), signature)) << CurveName(curve);
      EXPECT_FALSE(key.Verify(algorithm, HashOf(algorithm.hash, {}), signature));
    }
}

TEST(PublicKey, VerifiesPssWithAnySalt) {
  const PublicKey key = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  const SignatureAlgorithm algorithm{Scheme::kRsaPss, Hash::kSha256};
  for (const int salt : {0, 10, 32, RSA_PSS_SALTLEN_MAX})
    EXPECT_TRUE(key.Verify(algorithm, HashOf(algorithm.hash, kData),
                           OpenSslSign(test::RsaKey(), algorithm, kData, salt)))
        << salt;
}

TEST(PublicKey, SaysFalseOfWhatIsNoSignature) {
  const PublicKey rsa = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  const PublicKey ec = PublicKey::FromPem(test::PublicPem(test::EcKey(Curve::kP256)));
  for (const std::size_t size : {0U, 1U, 64U, 72U, 255U, 256U, 257U, 4000U}) {
    const Buffer junk(size, 0x30);
    EXPECT_FALSE(rsa.Verify({Scheme::kRsaPss, Hash::kSha256}, HashOf(Hash::kSha256, kData), junk)) << size;
    EXPECT_FALSE(rsa.Verify({Scheme::kRsaPkcs1, Hash::kSha512}, HashOf(Hash::kSha512, kData), junk)) << size;
    EXPECT_FALSE(ec.Verify({Scheme::kEcdsa, Hash::kSha256}, HashOf(Hash::kSha256, kData), junk)) << size;
  }
}

TEST(PublicKey, RefusesAnAlgorithmOfAnotherType) {
  const PublicKey rsa = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  const PublicKey ec = PublicKey::FromPem(test::PublicPem(test::EcKey(Curve::kP256)));
  EXPECT_EQ(CodeOf([&] {
              (void)rsa.Verify({Scheme::kEcdsa, Hash::kSha256}, HashOf(Hash::kSha256, {}), {});
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] {
              (void)ec.Verify({Scheme::kRsaPss, Hash::kSha256}, HashOf(Hash::kSha256, {}), {});
            }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { ec.Encrypt(RsaPadding::kOaepSha256, kData); }), ErrorCode::kInvalidArgument);
}

TEST(PublicKey, WritesWhatItRead) {
  std::vector<EVP_PKEY*> keys = {test::RsaKey()};
  for (const Curve curve : kCurves) keys.push_back(test::EcKey(curve));
  for (EVP_PKEY* key : keys) {
    const std::string pem = test::PublicPem(key);
    const PublicKey read = PublicKey::FromPem(pem);
    EXPECT_EQ(read.Pem(), pem);
    EXPECT_EQ(PublicKey::FromDer(read.Der()).Der(), read.Der());
  }
}

TEST(PublicKey, KnowsTypeSizeAndCurve) {
  const PublicKey rsa = PublicKey::FromPem(test::PublicPem(test::RsaKey(3072)));
  EXPECT_EQ(rsa.type(), KeyType::kRsa);
  EXPECT_EQ(rsa.bits(), 3072U);
  for (const Curve curve : kCurves) {
    const PublicKey ec = PublicKey::FromPem(test::PublicPem(test::EcKey(curve)));
    EXPECT_EQ(ec.type(), KeyType::kEc);
    EXPECT_EQ(ec.curve(), curve);
    EXPECT_EQ(ec.bits(), CurveBits(curve));
  }
}

TEST(PublicKey, RefusesWhatIsNoKeyOfItsKind) {
  const std::string rsa = test::PublicPem(test::RsaKey());
  EVP_PKEY* ed = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EVP_PKEY* brainpool = EVP_EC_gen("brainpoolP256r1");
  EVP_PKEY* small = EVP_RSA_gen(512);
  for (const std::string& pem :
       {std::string(), std::string("-----BEGIN PUBLIC KEY-----"), rsa.substr(0, rsa.size() / 2),
        test::PrivatePem(test::RsaKey()), test::PublicPem(ed), test::PublicPem(brainpool),
        test::PublicPem(small), std::string(100'000, 'A')})
    EXPECT_EQ(CodeOf([&] { PublicKey::FromPem(pem); }), ErrorCode::kInvalidArgument) << pem.substr(0, 60);
  Buffer der = PublicKey::FromPem(rsa).Der();
  der.push_back(0);
  EXPECT_EQ(CodeOf([&] { PublicKey::FromDer(der); }), ErrorCode::kInvalidArgument) << "a byte too many";
  EXPECT_EQ(CodeOf([&] { PublicKey::FromDer({}); }), ErrorCode::kInvalidArgument);
  EVP_PKEY_free(ed);
  EVP_PKEY_free(brainpool);
  EVP_PKEY_free(small);
}

TEST(PublicKey, RefusesNumbersThatAreNone) {
  Buffer modulus(256, 0xC1);
  EXPECT_EQ(PublicKey::FromRsa(modulus, Buffer{1, 0, 1}).bits(), 2048U);
  for (const Buffer& exponent : {Buffer{}, Buffer{0}, Buffer{1}, Buffer{2}, Buffer{1, 0, 0}})
    EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa(modulus, exponent); }), ErrorCode::kInvalidArgument);
  modulus.back() = 0xC0;
  EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa(modulus, Buffer{1, 0, 1}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa({}, Buffer{1, 0, 1}); }), ErrorCode::kInvalidArgument);
}

// OpenSSL works with none of these, so that they must not pass for keys until they are used.
TEST(PublicKey, RefusesAnExponentThatOpenSslRefuses) {
  const Buffer small(384, 0xC1), large(512, 0xC1);  // 3072 and 4096 bits
  Buffer longer(9, 0xFF);                           // 72 bits
  EXPECT_EQ(PublicKey::FromRsa(small, longer).Encrypt(RsaPadding::kOaepSha256, kData).size(), small.size());
  EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa(large, longer); }), ErrorCode::kInvalidArgument);
  longer.pop_back();  // 64 bits
  EXPECT_EQ(PublicKey::FromRsa(large, longer).Encrypt(RsaPadding::kOaepSha256, kData).size(), large.size());
  Buffer beyond = small;
  EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa(small, beyond); }), ErrorCode::kInvalidArgument) << "the modulus";
  beyond.front() = 0xC2;
  EXPECT_EQ(CodeOf([&] { PublicKey::FromRsa(small, beyond); }), ErrorCode::kInvalidArgument);
}

TEST(PublicKey, TakesAPointBareOrInAnOctetString) {
  for (const Curve curve : kCurves) {
    const PublicKey key = PublicKey::FromPem(test::PublicPem(test::EcKey(curve)));
    const Buffer der = key.Der();
    const std::size_t bare = 1 + 2 * CurveSize(curve);
    const Buffer point(der.end() - static_cast<std::ptrdiff_t>(bare), der.end());
    EXPECT_EQ(PublicKey::FromEc(curve, point).Der(), der);
    Buffer wrapped = {0x04};
    if (bare >= 128) wrapped.push_back(0x81);
    wrapped.push_back(static_cast<std::uint8_t>(bare));
    wrapped.insert(wrapped.end(), point.begin(), point.end());
    EXPECT_EQ(PublicKey::FromEc(curve, wrapped).Der(), der);

    Buffer off_curve = point;
    off_curve.back() ^= 1;
    EXPECT_EQ(CodeOf([&] { PublicKey::FromEc(curve, off_curve); }), ErrorCode::kInvalidArgument);
    for (std::size_t size = 0; size < bare; ++size)
      EXPECT_EQ(CodeOf([&] { PublicKey::FromEc(curve, base::Bytes(point).first(size)); }),
                ErrorCode::kInvalidArgument);
    const Buffer infinity = {0x00};
    EXPECT_EQ(CodeOf([&] { PublicKey::FromEc(curve, infinity); }), ErrorCode::kInvalidArgument);
  }
}

TEST(PublicKey, DoesNotMixCurvesOfOneSize) {
  const Buffer der = PublicKey::FromPem(test::PublicPem(test::EcKey(Curve::kP256))).Der();
  const Buffer point(der.end() - 65, der.end());
  EXPECT_EQ(CodeOf([&] { PublicKey::FromEc(Curve::kSecp256k1, point); }), ErrorCode::kInvalidArgument);
}

// The block that the padding is taken off, by OpenSSL's raw RSA.
Buffer RawDecrypt(EVP_PKEY* key, base::Bytes ciphertext) {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(key, nullptr);
  Buffer block(ciphertext.size());
  std::size_t size = block.size();
  EVP_PKEY_decrypt_init(context);
  EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING);
  EXPECT_EQ(EVP_PKEY_decrypt(context, block.data(), &size, ciphertext.data(), ciphertext.size()), 1);
  EVP_PKEY_CTX_free(context);
  return block;
}

TEST(PublicKey, EncryptsWhatOpensInEveryPaddingAndSize) {
  const PublicKey key = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  for (const RsaPadding padding : kPaddings) {
    const std::size_t most = MaxRsaPlaintext(padding, 2048);
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{32}, most}) {
      const Buffer plaintext(size, 0x5A);
      const Buffer block = RawDecrypt(test::RsaKey(), key.Encrypt(padding, plaintext));
      Buffer out(block.size());
      const auto length = UnpadRsaBlock(padding, block, out);
      ASSERT_TRUE(length) << RsaPaddingName(padding);
      out.resize(*length);
      EXPECT_EQ(out, plaintext);
    }
    EXPECT_EQ(CodeOf([&] { key.Encrypt(padding, Buffer(most + 1)); }), ErrorCode::kTooLarge);
  }
}

TEST(RsaBlock, OpensInItsOwnPaddingAlone) {
  const PublicKey key = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  for (const RsaPadding made : kPaddings) {
    Buffer block;
    do {  // one block of OAEP in 256 begins as one of PKCS #1
      block = RawDecrypt(test::RsaKey(), key.Encrypt(made, kData));
    } while (made != RsaPadding::kPkcs1 && block[1] == 2);
    Buffer out(block.size());
    for (const RsaPadding tried : kPaddings) {
      const bool opens = UnpadRsaBlock(tried, block, out).has_value();
      EXPECT_EQ(opens, tried == made);
      const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
      EXPECT_EQ(std::all_of(out.begin(), out.end(), is_zero), !opens) << "wiped";
    }
  }
}

TEST(RsaBlock, RefusesEveryDamageOfOaep) {
  const PublicKey key = PublicKey::FromPem(test::PublicPem(test::RsaKey()));
  const Buffer block = RawDecrypt(test::RsaKey(), key.Encrypt(RsaPadding::kOaepSha256, kData));
  Buffer out(block.size());
  for (std::size_t i = 0; i < block.size(); ++i) {
    Buffer damaged = block;
    damaged[i] ^= 0x01;
    EXPECT_FALSE(UnpadRsaBlock(RsaPadding::kOaepSha256, damaged, out)) << i;
  }
  EXPECT_FALSE(UnpadRsaBlock(RsaPadding::kOaepSha256, {}, out));
  EXPECT_FALSE(UnpadRsaBlock(RsaPadding::kPkcs1, base::Bytes(block).first(8), out));
}

TEST(RsaBlock, WritesTheDigestInfoThatOpenSslSigns) {
  for (const Hash hash : {Hash::kSha224, Hash::kSha256, Hash::kSha384, Hash::kSha512}) {
    const Buffer signature = OpenSslSign(test::RsaKey(), {Scheme::kRsaPkcs1, hash}, kData);
    const Buffer block = RawDecrypt(test::RsaKey(), signature);  // signs with d what opens with d
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(test::RsaKey(), nullptr);
    Buffer recovered(signature.size());
    std::size_t size = recovered.size();
    EVP_PKEY_verify_recover_init(context);
    EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING);
    EXPECT_EQ(EVP_PKEY_verify_recover(context, recovered.data(), &size, signature.data(), signature.size()),
              1);
    EVP_PKEY_CTX_free(context);
    recovered.resize(size);
    Buffer info(kMaxDigestInfoSize);
    info.resize(WriteDigestInfo(HashOf(hash, kData), info));
    EXPECT_EQ(info, recovered) << HashName(hash);
  }
}

TEST(Ecdsa, TurnsEachFormIntoTheOther) {
  for (const Curve curve : kCurves) {
    const SignatureAlgorithm algorithm = DefaultAlgorithm(KeyType::kEc, curve);
    for (int round = 0; round < 50; ++round) {
      const Buffer der = OpenSslSign(test::EcKey(curve), algorithm, kData);
      Buffer raw(2 * CurveSize(curve)), again(kMaxEcdsaDerSize);
      ASSERT_TRUE(EcdsaDerToRaw(der, raw));
      again.resize(EcdsaRawToDer(raw, again));
      EXPECT_EQ(again, der);
    }
  }
}

TEST(Ecdsa, RefusesWhatIsNoSignature) {
  Buffer raw(64), der(kMaxEcdsaDerSize);
  for (const std::size_t size : {0U, 3U, 65U, 134U})
    EXPECT_EQ(CodeOf([&] { EcdsaRawToDer(Buffer(size), der); }), ErrorCode::kInternal) << size;
  EXPECT_FALSE(EcdsaDerToRaw({}, raw));
  EXPECT_FALSE(EcdsaDerToRaw(kData, raw));
  const Buffer large = OpenSslSign(test::EcKey(Curve::kP521), {Scheme::kEcdsa, Hash::kSha512}, kData);
  EXPECT_FALSE(EcdsaDerToRaw(large, raw)) << "too large for the curve";
  Buffer longer = OpenSslSign(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, kData);
  longer.push_back(0);
  EXPECT_FALSE(EcdsaDerToRaw(longer, raw));
}

TEST(Hash, IsTheSameInPieces) {
  const Buffer data(1000, 7);
  for (const Hash hash : {Hash::kSha1, Hash::kSha224, Hash::kSha256, Hash::kSha384, Hash::kSha512}) {
    Hasher hasher(hash);
    for (std::size_t i = 0; i < data.size(); i += 100) hasher.Update(base::Bytes(data).subspan(i, 100));
    const Digest digest = hasher.Finish();
    EXPECT_TRUE(std::ranges::equal(digest.view(), HashOf(hash, data).view()));
    EXPECT_EQ(digest.size, HashSize(hash));
  }
  EXPECT_EQ(test::ToHex(HashOf(Hash::kSha224, {}).view()),
            "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f");
  EXPECT_EQ(CodeOf([] { DigestFrom(Hash::kSha256, Buffer(31)); }), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(HashFromName("sha1")) << "no signature uses it";
}

TEST(Algorithm, NamesComeBack) {
  for (const KeyType type : {KeyType::kRsa, KeyType::kEc})
    for (const SignatureAlgorithm algorithm : AlgorithmsOf(type))
      EXPECT_EQ(SignatureAlgorithmFromName(SignatureAlgorithmName(algorithm)), algorithm);
  for (const char* none :
       {"", "rsa", "rsa-pss-", "rsa-pss-sha1", "ecdsa-sha224", "RSA-PSS-SHA256", "ecdsa-sha256 "})
    EXPECT_FALSE(SignatureAlgorithmFromName(none)) << none;
  for (const RsaPadding padding : kPaddings) EXPECT_EQ(RsaPaddingFromName(RsaPaddingName(padding)), padding);
  for (const Curve curve : kCurves) {
    EXPECT_EQ(CurveFromName(CurveName(curve)), curve);
    EXPECT_EQ(CurveFromOid(CurveOid(curve)), curve);
  }
  EXPECT_FALSE(CurveFromName("P-224"));
}

}  // namespace
}  // namespace trustpoint::crypto
