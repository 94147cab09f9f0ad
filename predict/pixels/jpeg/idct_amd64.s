//go:build amd64

#include "textflag.h"
#include "idct_amd64.h"

// func inverse8x8(dst *byte, stride int, c, quant *[64]int16, with *transformVectors) bool
TEXT ·inverse8x8(SB), NOSPLIT, $0-41
	MOVQ dst+0(FP), DI
	MOVQ stride+8(FP), DX
	MOVQ c+16(FP), SI
	MOVQ quant+24(FP), BX
	MOVQ with+32(FP), AX
	INVERSE(unsafe)
	VZEROUPPER
	MOVB $1, ret+40(FP)
	RET

unsafe:
	VZEROUPPER
	MOVB $0, ret+40(FP)
	RET
