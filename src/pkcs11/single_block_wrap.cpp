#include "pkcs11/single_block_wrap.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace trustpoint::pkcs11 {
namespace {

constexpr std::size_t kHalf = 8;    // the 64-bit words of RFC 3394
constexpr std::size_t kBlock = 16;  // A in the first half, R[i] in the second
constexpr int kRounds = 6;
constexpr std::uint8_t kInitial = 0xA6;

// One AES block by the key in the token, in place in locked memory.
class BlockCipher {
 public:
  BlockCipher(Session& session, CK_OBJECT_HANDLE key) : session_(session), key_(key), output_(2 * kBlock) {}

  void Encrypt(base::MutableBytes block) {
    session_.Check(session_.api()->C_EncryptInit(session_.handle(), &mechanism_, key_), "C_EncryptInit");
    CK_ULONG size = output_.size();
    session_.Check(
        session_.api()->C_Encrypt(session_.handle(), block.data(), kBlock, output_.bytes().data(), &size),
        "C_Encrypt");
    Take(block, size);
  }

  void Decrypt(base::MutableBytes block) {
    session_.Check(session_.api()->C_DecryptInit(session_.handle(), &mechanism_, key_), "C_DecryptInit");
    CK_ULONG size = output_.size();
    session_.Check(
        session_.api()->C_Decrypt(session_.handle(), block.data(), kBlock, output_.bytes().data(), &size),
        "C_Decrypt");
    Take(block, size);
  }

 private:
  void Take(base::MutableBytes block, CK_ULONG size) {
    if (size != kBlock)
      throw base::Error(base::ErrorCode::kTokenRefused, "the token's CKM_AES_ECB is not AES-ECB");
    base::Copy(block, output_.view().first(kBlock));
  }

  Session& session_;
  CK_OBJECT_HANDLE key_;
  CK_MECHANISM mechanism_ = {CKM_AES_ECB, nullptr, 0};
  base::Secret output_;
};

// A ^= t, t being the number of the step.
void MixStep(base::MutableBytes block, std::size_t step) {
  for (std::size_t byte = 0; byte < sizeof step; ++byte)
    block[kHalf - 1 - byte] ^= static_cast<std::uint8_t>(step >> (8 * byte));
}

// Without a branch on the bytes.
bool IsInitial(base::Bytes half) {
  std::uint8_t difference = 0;
  for (const std::uint8_t byte : half) difference |= static_cast<std::uint8_t>(byte ^ kInitial);
  return difference == 0;
}

}  // namespace

std::vector<std::uint8_t> WrapByBlocks(Session& session, CK_OBJECT_HANDLE kek, base::Bytes payload) {
  const std::size_t words = payload.size() / kHalf;
  BlockCipher cipher(session, kek);
  base::Secret registers(payload);  // R[1..n], plaintext at first
  base::Secret block(kBlock);
  const base::MutableBytes a = block.bytes().first(kHalf), b = block.bytes().subspan(kHalf);
  std::fill(a.begin(), a.end(), kInitial);
  for (std::size_t step = 1; step <= kRounds * words; ++step) {
    const base::MutableBytes r = registers.bytes().subspan((step - 1) % words * kHalf, kHalf);
    base::Copy(b, r);
    cipher.Encrypt(block.bytes());
    MixStep(block.bytes(), step);
    base::Copy(r, b);
  }
  std::vector<std::uint8_t> wrapped(kHalf + payload.size());
  base::Copy(wrapped, a);
  base::Copy(base::MutableBytes(wrapped).subspan(kHalf), registers.view());
  return wrapped;
}

base::Secret UnwrapByBlocks(Session& session, CK_OBJECT_HANDLE kek, base::Bytes wrapped) {
  const std::size_t words = wrapped.size() / kHalf - 1;
  BlockCipher cipher(session, kek);
  base::Secret registers(wrapped.subspan(kHalf));
  base::Secret block(kBlock);
  const base::MutableBytes a = block.bytes().first(kHalf), b = block.bytes().subspan(kHalf);
  base::Copy(a, wrapped.first(kHalf));
  for (std::size_t step = kRounds * words; step >= 1; --step) {
    const base::MutableBytes r = registers.bytes().subspan((step - 1) % words * kHalf, kHalf);
    base::Copy(b, r);
    MixStep(block.bytes(), step);
    cipher.Decrypt(block.bytes());
    base::Copy(r, b);
  }
  if (!IsInitial(a)) return {};
  return registers;
}

}  // namespace trustpoint::pkcs11
