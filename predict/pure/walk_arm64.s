//go:build arm64

#include "textflag.h"

// A node is 8 bytes: threshold, feature, second. LS is at most, and false for NaN.
#define STEP(node) \
	FMOVS (node), F0 \
	MOVHU 4(node), R2 \
	MOVHU 6(node), R3 \
	FMOVS (R1)(R2<<2), F1 \
	FCMPS F0, F1 \
	CSET  LS, R4 \
	SUB   R4, R3 \
	ADD   R3<<3, node

#define START(i, node) \
	MOVW (4*i)(R14), node \
	ADD  node<<3, R0, node

#define END(i, node) \
	FMOVS (node), F0 \
	FMOVS F0, (4*i)(R16) \
	FADDS F0, F2

// func walk8(nodes *packedNode[float32], roots, steps *int32, groups int, x, leaves *float32) (sum float32)
TEXT ·walk8(SB), NOSPLIT, $0-52
	MOVD nodes+0(FP), R0
	MOVD roots+8(FP), R14
	MOVD steps+16(FP), R15
	MOVD groups+24(FP), R17
	MOVD x+32(FP), R1
	MOVD leaves+40(FP), R16
	FMOVS ZR, F2

group:
	START(0, R5)
	START(1, R6)
	START(2, R7)
	START(3, R8)
	START(4, R9)
	START(5, R10)
	START(6, R11)
	START(7, R12)
	MOVW.P 4(R15), R13
	CBZW R13, leaf

step:
	STEP(R5)
	STEP(R6)
	STEP(R7)
	STEP(R8)
	STEP(R9)
	STEP(R10)
	STEP(R11)
	STEP(R12)
	SUBW $1, R13
	CBNZW R13, step

leaf:
	END(0, R5)
	END(1, R6)
	END(2, R7)
	END(3, R8)
	END(4, R9)
	END(5, R10)
	END(6, R11)
	END(7, R12)
	ADD  $32, R14
	ADD  $32, R16
	SUBS $1, R17
	BNE  group
	FMOVS F2, sum+48(FP)
	RET
