//go:build amd64

#include "textflag.h"

// func rectify(y, x *float32, n int)
//
// y[i] is 0 where x[i] is less, else x[i], NaN and -0 too. n is a positive multiple of 8.
TEXT ·rectify(SB), NOSPLIT, $0-24
	MOVQ y+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VXORPS Y1, Y1, Y1

loop:
	VMOVUPS (SI), Y0
	VMAXPS Y0, Y1, Y0 // x where neither is larger
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  loop
	VZEROUPPER
	RET
