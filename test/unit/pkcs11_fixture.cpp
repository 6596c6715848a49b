#include "pkcs11_fixture.hpp"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <stdexcept>
#include <utility>

#include "pkcs11/session.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::test {
namespace {

CK_FUNCTION_LIST* SoftHsmApi() {
  void* library = dlopen(kSoftHsm, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error("these tests need SoftHSM 2: " + std::string(dlerror()));
  CK_FUNCTION_LIST* api = nullptr;
  reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"))(&api);
  return api;
}

base::Block<32> FakeHmac(base::Bytes key, base::Bytes data) {
  base::Block<32> out;
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (const base::Bytes part : {key, data})
      for (const std::uint8_t byte : part) hash = (hash ^ byte ^ i) * 1099511628211ULL;
    out[i] = static_cast<std::uint8_t>(hash >> 32);
  }
  return out;
}

void FakeRandom(base::MutableBytes out) {
  static std::uint8_t next = 1;
  for (std::uint8_t& byte : out) byte = next++;
}

}  // namespace

Folder::Folder() {
  char name[] = "/tmp/trustpoint-test-XXXXXX";
  if (!mkdtemp(name)) throw std::runtime_error("mkdtemp");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::Write(std::string_view name, std::string_view text, unsigned mode) const {
  const std::string file = File(name);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
  chmod(file.c_str(), mode);
  return file;
}

pkcs11::Pin MakePin(std::string_view text, std::uint64_t inode) {
  return {base::Secret(base::AsBytes(text)), {1, inode, text.size(), 2, 3}};
}

pkcs11::Primitives FakePrimitives() { return {FakeHmac, FakeRandom}; }

TokenTest::TokenTest() {
  std::filesystem::create_directory(folder_.path() / "tokens");
  const std::string conf =
      folder_.Write("softhsm2.conf", "directories.tokendir = " + folder_.File("tokens") +
                                         "\nobjectstore.backend = file\nlog.level = ERROR\n");
  setenv("SOFTHSM2_CONF", conf.c_str(), 1);
  script_ = std::make_unique<ScriptedToken>(SoftHsmApi());
  memo_ = std::make_unique<pkcs11::PinMemo>(folder_.File("memo"), 1, FakePrimitives());
  config_.module = kSoftHsm;
  config_.token = kLabel;
  config_.pin_file = folder_.Write("pin", std::string(kPin) + "\n");
  CreateToken(kLabel);
}

TokenTest::~TokenTest() {
  script_->Forget();
  script_->api()->C_Finalize(nullptr);
}

std::unique_ptr<pkcs11::Connection> TokenTest::Connect() {
  return std::make_unique<pkcs11::Connection>(memo_.get(), [this](const pkcs11::Config& config) {
    return std::make_unique<pkcs11::Module>(config.module, script_->api());
  });
}

void TokenTest::CreateToken(const std::string& label) {
  pkcs11::Module module(kSoftHsm, SoftHsmApi());  // not counted
  module.api()->C_Finalize(nullptr);
  module.Initialize({});
  for (const auto& slot : pkcs11::ListSlots(module))
    if (!slot.initialized()) {
      pkcs11::InitToken(module, slot.slot, label, MakePin(kSoPin), MakePin(kPin), false);
      break;
    }
  module.Finalize();
}

void TokenTest::HideTokens() {
  std::filesystem::rename(folder_.path() / "tokens", folder_.path() / "hidden");
}

void TokenTest::ShowTokens() {
  std::filesystem::rename(folder_.path() / "hidden", folder_.path() / "tokens");
}

void TokenTest::Use(pkcs11::Connection& connection, pkcs11::Level level) {
  Run(connection, level, [](pkcs11::Session& session) {
    CK_BYTE random[8];
    session.Check(session.api()->C_GenerateRandom(session.handle(), random, sizeof random),
                  "C_GenerateRandom");
  });
}

}  // namespace trustpoint::test
