//go:build amd64

#include "textflag.h"

// func mix8(to *float32, corners *byte, apart int, shares *float32, down float32, n int)
//
// n values, a multiple of 8, between four lines of bytes that are so far apart: upper left and right, lower left and
// right. Products are rounded before they are added, as in plain Go.
TEXT ·mix8(SB), NOSPLIT, $0-48
	MOVQ to+0(FP), DI
	MOVQ corners+8(FP), SI
	MOVQ apart+16(FP), DX
	MOVQ shares+24(FP), R8
	VBROADCASTSS down+32(FP), Y7
	MOVQ n+40(FP), CX
	LEAQ (DX)(DX*2), BX
	SHRQ $3, CX
	JZ   mixed

mix:
	VMOVUPS (R8), Y6
	VPMOVZXBD (SI), Y0
	VPMOVZXBD (SI)(DX*1), Y1
	VPMOVZXBD (SI)(DX*2), Y2
	VPMOVZXBD (SI)(BX*1), Y3
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VCVTDQ2PS Y3, Y3
	VSUBPS Y0, Y1, Y1
	VSUBPS Y2, Y3, Y3
	VMULPS Y6, Y1, Y1
	VMULPS Y6, Y3, Y3
	VADDPS Y1, Y0, Y0
	VADDPS Y3, Y2, Y2
	VSUBPS Y0, Y2, Y2
	VMULPS Y7, Y2, Y2
	VADDPS Y2, Y0, Y0
	VMOVUPS Y0, (DI)
	ADDQ $8, SI
	ADDQ $32, R8
	ADDQ $32, DI
	DECQ CX
	JNZ  mix
	VZEROUPPER

mixed:
	RET
