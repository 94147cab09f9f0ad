//go:build arm64

#include "textflag.h"

// func rectify(y, x *float32, n int)
//
// y[i] is 0 where x[i] is less, else x[i], NaN and -0 too. n is a positive multiple of 8.
TEXT ·rectify(SB), NOSPLIT, $0-24
	MOVD y+0(FP), R0
	MOVD x+8(FP), R1
	MOVD n+16(FP), R2

loop:
	VLD1.P 32(R1), [V0.S4, V1.S4]
	WORD $0x4ea0e802 // FCMLT V2.4S, V0.4S, #0.0
	WORD $0x4ea0e823 // FCMLT V3.4S, V1.4S, #0.0
	WORD $0x4e621c00 // BIC V0.16B, V0.16B, V2.16B
	WORD $0x4e631c21 // BIC V1.16B, V1.16B, V3.16B
	VST1.P [V0.S4, V1.S4], 32(R0)
	SUBS $8, R2
	BNE  loop
	RET
