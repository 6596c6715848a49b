// The one include of the PKCS#11 header, in its standard spelling (CK_RV, not ck_rv_t).
#pragma once

#include <p11-kit/pkcs11.h>
