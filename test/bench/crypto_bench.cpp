// What our contexts cost above a bare EVP loop that does the same: one IV, eight bytes of AAD, one text, one
// tag.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <cstdint>
#include <vector>

#include "crypto/gcm.hpp"
#include "crypto/kdf.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"

namespace trustpoint::crypto {
namespace {

using Buffer = std::vector<std::uint8_t>;

const Buffer kKey(kKeySize, 1);
const Buffer kAad(8, 2);
const Buffer kContext(24, 3);

class Bare {
 public:
  explicit Bare(int encrypt) : context_(EVP_CIPHER_CTX_new()) {
    EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
    EVP_CipherInit_ex2(context_, cipher, kKey.data(), nullptr, encrypt, nullptr);
    EVP_CIPHER_free(cipher);
  }
  ~Bare() { EVP_CIPHER_CTX_free(context_); }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;
  EVP_CIPHER_CTX* get() { return context_; }

 private:
  EVP_CIPHER_CTX* context_;
};

void Seal(EVP_CIPHER_CTX* context, const Buffer& nonce, const Buffer& in, Buffer& out, Buffer& tag) {
  int size;
  EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data());
  EVP_EncryptUpdate(context, nullptr, &size, kAad.data(), static_cast<int>(kAad.size()));
  EVP_EncryptUpdate(context, out.data(), &size, in.data(), static_cast<int>(in.size()));
  EVP_EncryptFinal_ex(context, tag.data(), &size);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, tag.data());
}

void BareSeal(benchmark::State& state) {
  Bare bare(1);
  Buffer nonce(kGcmNonceSize), in(static_cast<std::size_t>(state.range(0))), out(in.size()), tag(kTagSize);
  for (auto _ : state) {
    ++nonce[0];
    Seal(bare.get(), nonce, in, out, tag);
    benchmark::DoNotOptimize(out.data());
  }
}

template <class Sealer, bool kWithContext>
void SealerSeal(benchmark::State& state) {
  Sealer sealer;
  sealer.SetKey(kKey);
  Buffer nonce(kGcmNonceSize), in(static_cast<std::size_t>(state.range(0))), out(in.size()), tag(kTagSize);
  for (auto _ : state) {
    ++nonce[0];
    sealer.Seal(nonce, kAad, kWithContext ? base::Bytes(kContext) : base::Bytes(), in, out, tag);
    benchmark::DoNotOptimize(out.data());
  }
}

void BareOpen(benchmark::State& state) {
  Bare sealing(1);
  Bare bare(0);
  const Buffer nonce(kGcmNonceSize);
  Buffer out(static_cast<std::size_t>(state.range(0))), in(out.size()), tag(kTagSize);
  Seal(sealing.get(), nonce, out, in, tag);
  for (auto _ : state) {
    int size;
    EVP_DecryptInit_ex(bare.get(), nullptr, nullptr, nullptr, nonce.data());
    EVP_DecryptUpdate(bare.get(), nullptr, &size, kAad.data(), static_cast<int>(kAad.size()));
    EVP_DecryptUpdate(bare.get(), out.data(), &size, in.data(), static_cast<int>(in.size()));
    EVP_CIPHER_CTX_ctrl(bare.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data());
    if (EVP_DecryptFinal_ex(bare.get(), out.data(), &size) != 1) state.SkipWithError("not authentic");
    benchmark::DoNotOptimize(out.data());
  }
}

template <class Opener, bool kWithContext>
void OpenerOpen(benchmark::State& state) {
  const base::Bytes context = kWithContext ? base::Bytes(kContext) : base::Bytes();
  const Buffer nonce(kGcmNonceSize);
  Buffer out(static_cast<std::size_t>(state.range(0))), in(out.size()), tag(kTagSize);
  GcmSealer sealer;
  sealer.SetKey(kKey);
  sealer.Seal(nonce, kAad, context, out, in, tag);
  Opener opener;
  opener.SetKey(kKey);
  for (auto _ : state) {
    if (!opener.Open(nonce, kAad, context, in, tag, out)) state.SkipWithError("not authentic");
    benchmark::DoNotOptimize(out.data());
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int size : {16, 64, 128, 1024, 1 << 20}) benchmark->Arg(size);
}
void ShortSizes(benchmark::internal::Benchmark* benchmark) {
  for (const int size : {16, 64, 128}) benchmark->Arg(size);
}
BENCHMARK(BareSeal)->Apply(Sizes);
BENCHMARK_TEMPLATE(SealerSeal, GcmSealer, false)->Apply(Sizes);
BENCHMARK_TEMPLATE(SealerSeal, GcmSealer, true)->Apply(Sizes);
BENCHMARK_TEMPLATE(SealerSeal, ShortGcmSealer, true)->Apply(ShortSizes);
BENCHMARK(BareOpen)->Apply(Sizes);
BENCHMARK_TEMPLATE(OpenerOpen, GcmOpener, false)->Apply(Sizes);
BENCHMARK_TEMPLATE(OpenerOpen, GcmOpener, true)->Apply(Sizes);
BENCHMARK_TEMPLATE(OpenerOpen, ShortGcmOpener, true)->Apply(ShortSizes);

void GcmSetKey(benchmark::State& state) {
  GcmSealer sealer;
  for (auto _ : state) sealer.SetKey(kKey);
}
BENCHMARK(GcmSetKey);

void ShortGcmSetKey(benchmark::State& state) {
  ShortGcmSealer sealer;
  for (auto _ : state) sealer.SetKey(kKey);
}
BENCHMARK(ShortGcmSetKey);

void XaesSetKey(benchmark::State& state) {
  XaesDeriver deriver;
  for (auto _ : state) deriver.SetKey(kKey);
}
BENCHMARK(XaesSetKey);

void XaesDerive(benchmark::State& state) {
  XaesDeriver deriver;
  deriver.SetKey(kKey);
  const Buffer prefix(kXaesPrefixSize);
  Buffer derived(kKeySize);
  for (auto _ : state) deriver.Derive(prefix, derived);
}
BENCHMARK(XaesDerive);

void Hmac(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(HmacSha256(kKey, {kContext}));
}
BENCHMARK(Hmac);

void Hkdf(benchmark::State& state) {
  Buffer derived(kKeySize);
  for (auto _ : state) HkdfSha256(kKey, "trustpoint index v1", derived);
}
BENCHMARK(Hkdf);

}  // namespace
}  // namespace trustpoint::crypto
