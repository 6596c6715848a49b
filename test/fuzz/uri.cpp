// PKCS#11 URIs of tokens and of keys. What names a token is held against p11-kit's reading of it.
//
// Input: the text.
#include <p11-kit/uri.h>

#include <memory>
#include <optional>
#include <string>

#include "fuzz.hpp"
#include "pg/key_uri.hpp"
#include "pkcs11/uri.hpp"

namespace trustpoint::test {
namespace {

using Field = std::optional<std::string>;

constexpr auto kBad = base::ErrorCode::kInvalidArgument;

std::string Encoded(std::string_view value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string encoded;
  for (const char c : value) {
    const auto byte = static_cast<std::uint8_t>(c);
    encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return encoded;
}

std::string Written(const pkcs11::TokenUri& uri) {
  std::string text;
  const auto add = [&](const char* name, const Field& value) {
    if (value) text += std::string(text.empty() ? "" : ";") + name + "=" + Encoded(*value);
  };
  add("token", uri.token);
  add("serial", uri.serial);
  add("manufacturer", uri.manufacturer);
  add("model", uri.model);
  return "pkcs11:" + text;
}

// Whether a fixed field of PKCS#11, padded with blanks, is the value; where none is given it is all zeros.
template <std::size_t N>
bool Holds(const unsigned char (&field)[N], const Field& value) {
  Buffer expected(N, value ? ' ' : '\0');
  if (value) base::Copy(expected, base::AsBytes(*value));
  return Same(field, expected);
}

template <std::size_t N>
bool Fits(const unsigned char (&)[N], const Field& value) {
  return !value || value->size() <= N;
}

void HoldAgainstP11Kit(const std::string& text, const pkcs11::TokenUri& uri) {
  const std::unique_ptr<P11KitUri, void (*)(P11KitUri*)> other(p11_kit_uri_new(), p11_kit_uri_free);
  const CK_TOKEN_INFO& info = *p11_kit_uri_get_token_info(other.get());
  if (!Fits(info.label, uri.token) || !Fits(info.serialNumber, uri.serial) ||
      !Fits(info.manufacturerID, uri.manufacturer) || !Fits(info.model, uri.model))
    return;  // names no token, as none can be called so
  Require(p11_kit_uri_parse(text.c_str(), P11_KIT_URI_FOR_ANY, other.get()) == P11_KIT_URI_OK,
          "p11-kit takes the URI too");
  Require(Holds(info.label, uri.token) && Holds(info.serialNumber, uri.serial) &&
              Holds(info.manufacturerID, uri.manufacturer) && Holds(info.model, uri.model),
          "p11-kit reads the same from the URI");
}

void TokenUri(const std::string& text) {
  pkcs11::TokenUri uri;
  if (!Accepts({kBad}, [&] { uri = pkcs11::ParseTokenUri(text); })) return;
  Require(pkcs11::IsUri(text), "a URI has its scheme");
  for (const char* refused : {"?", ";pin-value=", ";pin-source=", ";module-path=", ";module-name="})
    Require(text.find(refused) == std::string::npos, "nothing that brings a PIN or code is taken");
  const pkcs11::TokenUri again = pkcs11::ParseTokenUri(Written(uri));
  Require(again.token == uri.token && again.serial == uri.serial && again.manufacturer == uri.manufacturer &&
              again.model == uri.model,
          "a URI is read as it was written");
  HoldAgainstP11Kit(text, uri);
}

void KeyUri(const std::string& text) {
  if (!pkcs11::IsUri(text)) return;  // its caller takes it for a label
  pg::KeyUri uri;
  if (!Accepts({kBad}, [&] { uri = pg::ParseKeyUri(text); })) return;
  Require(!uri.label.empty() || uri.id.size > 0, "a key is named");
  std::string written = "pkcs11:";
  if (!uri.label.empty()) written += "object=" + Encoded(uri.label);
  if (!uri.label.empty() && uri.id.size > 0) written += ';';
  if (uri.id.size > 0) written += "id=" + Encoded(base::AsText(uri.id.view()));
  const pg::KeyUri again = pg::ParseKeyUri(written);
  Require(again.label == uri.label && again.id == uri.id, "a key's URI is read as it was written");
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  trustpoint::test::TokenUri(text);
  trustpoint::test::KeyUri(text);
  return 0;
}
