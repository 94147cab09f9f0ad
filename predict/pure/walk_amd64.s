//go:build amd64

#include "textflag.h"

// A node is 8 bytes: threshold, feature, second. The row's value is at most the threshold unless the comparison
// carries, which it also does for NaN.
#define STEP(node) \
	MOVSS (node), X0 \
	MOVWLZX 4(node), AX \
	MOVWLZX 6(node), DX \
	UCOMISS (SI)(AX*4), X0 \
	ADCQ $0, DX \
	LEAQ -8(node)(DX*8), node

#define START(i, node) \
	MOVLQSX (4*i)(BX), node \
	LEAQ (R14)(node*8), node

#define END(i, node) \
	MOVSS (node), X0 \
	MOVSS X0, (4*i)(BX) \
	ADDSS X0, X1

// func walk8(nodes *packedNode[float32], roots, steps *int32, groups int, x, leaves *float32) (sum float32)
TEXT ·walk8(SB), NOSPLIT, $0-52
	MOVQ x+32(FP), SI
	XORPS X1, X1
	XORQ CX, CX // the group

group:
	MOVQ nodes+0(FP), R14
	MOVQ roots+8(FP), BX
	MOVQ CX, AX
	SHLQ $5, AX
	ADDQ AX, BX
	START(0, R8)
	START(1, R9)
	START(2, R10)
	START(3, R11)
	START(4, R12)
	START(5, R13)
	START(6, R15)
	START(7, DI)
	MOVQ steps+16(FP), BX
	MOVL (BX)(CX*4), BX
	TESTL BX, BX
	JZ   leaf

step:
	STEP(R8)
	STEP(R9)
	STEP(R10)
	STEP(R11)
	STEP(R12)
	STEP(R13)
	STEP(R15)
	STEP(DI)
	DECL BX
	JNZ  step

leaf:
	MOVQ leaves+40(FP), BX
	MOVQ CX, AX
	SHLQ $5, AX
	ADDQ AX, BX
	END(0, R8)
	END(1, R9)
	END(2, R10)
	END(3, R11)
	END(4, R12)
	END(5, R13)
	END(6, R15)
	END(7, DI)
	INCQ CX
	CMPQ CX, groups+24(FP)
	JLT  group
	MOVSS X1, sum+48(FP)
	RET
