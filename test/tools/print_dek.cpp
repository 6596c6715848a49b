// print_dek MODULE TOKEN PIN KEK_ID WRAPPED [XAES_PREFIX ...]: for tests alone. Unwraps a DEK on the token as
// the extension does and prints it, its subkeys and the keys derived for the nonce prefixes, each as a name
// and hex, so that a test can search memory for them. All arguments but the first three are in hex.
#include <cstdio>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "crypto/kdf.hpp"
#include "crypto/xaes.hpp"
#include "pkcs11/key_wrap.hpp"
#include "pkcs11/module.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/session.hpp"
#include "pkcs11/token.hpp"

using namespace trustpoint;

namespace {

std::vector<std::uint8_t> FromHex(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

void Print(const char* name, base::Bytes bytes) {
  std::printf("%s ", name);
  for (const std::uint8_t byte : bytes) std::printf("%02x", byte);
  std::printf("\n");
}

void PrintDek(char** arguments, int prefixes) {
  pkcs11::Module module(arguments[1], "");
  module.Initialize("");
  const pkcs11::TokenInfo token = pkcs11::SelectToken(module, arguments[2]);
  pkcs11::Session session(module, token.slot);
  std::string pin = arguments[3];
  session.Check(session.api()->C_Login(session.handle(), CKU_USER, reinterpret_cast<CK_UTF8CHAR*>(pin.data()),
                                       pin.size()),
                "C_Login");
  pkcs11::Template search;
  search.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_ID, base::Bytes(FromHex(arguments[4])));
  const CK_OBJECT_HANDLE kek = pkcs11::FindOne(session, search, "the KEK");
  const base::Secret payload =
      pkcs11::UnwrapBytes(session, kek, pkcs11::WrapMethod::kKeyWrap, FromHex(arguments[5]));
  const base::Bytes dek = payload.view().first(32);
  Print("dek", dek);
  for (const char* info : {"trustpoint data xaes-256-gcm v1", "trustpoint data aes-256-gcm v1",
                           "trustpoint index v1", "trustpoint check v1"}) {
    base::Block<32> subkey;
    crypto::HkdfSha256(dek, info, subkey);
    Print("subkey", subkey);
  }
  base::Block<32> xaes, derived;
  crypto::HkdfSha256(dek, "trustpoint data xaes-256-gcm v1", xaes);
  crypto::XaesDeriver deriver;
  deriver.SetKey(xaes);
  for (int i = 0; i < prefixes; ++i) {
    deriver.Derive(FromHex(arguments[6 + i]), derived);
    Print("derived", derived);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 6) return 2;
  base::Failure failure;
  if (base::Contain(&failure, [&] { PrintDek(arguments, count - 6); })) return 0;
  std::fprintf(stderr, "%s: %s\n", failure.message, failure.detail);
  return 1;
}
