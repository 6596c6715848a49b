// How often this process called each function of a PKCS#11 module, how often that failed, and how long it
// took.
//
// Module gives out a copy of the module's function list in which counting functions stand before the real
// ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "pkcs11/cryptoki.hpp"

namespace trustpoint::pkcs11 {

// All that this tree calls.
// clang-format off
#define TRUSTPOINT_COUNTED_FUNCTIONS(F) \
  F(C_Initialize) F(C_Finalize) F(C_GetInfo) F(C_GetSlotList) F(C_GetSlotInfo) F(C_GetTokenInfo) \
  F(C_GetMechanismList) F(C_GetMechanismInfo) F(C_InitToken) F(C_InitPIN) F(C_SetPIN) F(C_OpenSession) \
  F(C_CloseSession) F(C_GetSessionInfo) F(C_Login) F(C_Logout) F(C_CreateObject) F(C_DestroyObject) \
  F(C_GetAttributeValue) F(C_SetAttributeValue) F(C_FindObjectsInit) F(C_FindObjects) \
  F(C_FindObjectsFinal) F(C_EncryptInit) F(C_Encrypt) F(C_DecryptInit) F(C_Decrypt) F(C_DigestInit) \
  F(C_DigestUpdate) F(C_DigestFinal) F(C_SignInit) F(C_Sign) F(C_GenerateKey) F(C_GenerateKeyPair) \
  F(C_WrapKey) F(C_UnwrapKey) F(C_GenerateRandom)
// clang-format on

#define TRUSTPOINT_NAME(function) #function,
inline constexpr const char* kCountedFunctions[] = {TRUSTPOINT_COUNTED_FUNCTIONS(TRUSTPOINT_NAME)};
#undef TRUSTPOINT_NAME

struct CallCount {
  std::uint64_t calls, failures, nanoseconds;
};
using CallCounts = std::array<CallCount, std::size(kCountedFunctions)>;

// Moves what this process has counted, of all its modules and by the index of the name, to *sum. False: there
// was nothing, which costs next to nothing to find.
bool TakeCallCounts(CallCounts* sum) noexcept;

// The list with counting functions in it. What is called through it is called in the module of the last
// SetCounted.
CK_FUNCTION_LIST CountingList(const CK_FUNCTION_LIST& api) noexcept;
void SetCounted(const CK_FUNCTION_LIST* api) noexcept;

}  // namespace trustpoint::pkcs11
