//go:build arm64

#include "textflag.h"

// func product1x32(z, a, b *float32, k, n int)
//
// z[0:32] += a[p] * b[p*n : p*n+32], for p up to k.
TEXT ·product1x32(SB), NOSPLIT, $0-40
	MOVD z+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD k+24(FP), R3
	MOVD n+32(FP), R4
	LSL  $2, R4, R4
	ADD  $64, R0, R5
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R5), [V4.S4, V5.S4, V6.S4, V7.S4]

loop32:
	VLD1R.P 4(R1), [V24.S4]
	ADD  $64, R2, R6
	VLD1 (R2), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1 (R6), [V20.S4, V21.S4, V22.S4, V23.S4]
	VFMLA V24.S4, V16.S4, V0.S4
	VFMLA V24.S4, V17.S4, V1.S4
	VFMLA V24.S4, V18.S4, V2.S4
	VFMLA V24.S4, V19.S4, V3.S4
	VFMLA V24.S4, V20.S4, V4.S4
	VFMLA V24.S4, V21.S4, V5.S4
	VFMLA V24.S4, V22.S4, V6.S4
	VFMLA V24.S4, V23.S4, V7.S4
	ADD  R4, R2
	SUBS $1, R3
	BNE  loop32
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R5)
	RET

// func product1upTo16(z, a, b *float32, k, n, columns int)
//
// z[0:columns] += a[p] * b[p*n : p*n+columns], for p up to k: four columns at a time, then one.
TEXT ·product1upTo16(SB), NOSPLIT, $0-48
	MOVD z+0(FP), R0
	MOVD b+16(FP), R2
	MOVD n+32(FP), R4
	MOVD columns+40(FP), R5
	LSL  $2, R4, R4

four:
	SUBS $4, R5
	BLT  last
	MOVD a+8(FP), R1
	MOVD k+24(FP), R3
	MOVD R2, R6
	VLD1 (R0), [V0.S4]

loop4:
	VLD1R.P 4(R1), [V24.S4]
	VLD1 (R6), [V16.S4]
	VFMLA V24.S4, V16.S4, V0.S4
	ADD  R4, R6
	SUBS $1, R3
	BNE  loop4
	VST1.P [V0.S4], 16(R0)
	ADD  $16, R2
	B    four

last:
	ADDS $4, R5
	BEQ  done

one:
	MOVD a+8(FP), R1
	MOVD k+24(FP), R3
	MOVD R2, R6
	FMOVS (R0), F0

loop1:
	FMOVS.P 4(R1), F24
	FMOVS (R6), F16
	FMADDS F24, F0, F16, F0 // F0 += F16 * F24
	ADD  R4, R6
	SUBS $1, R3
	BNE  loop1
	FMOVS.P F0, 4(R0)
	ADD  $4, R2
	SUBS $1, R5
	BNE  one

done:
	RET

// func product4x16(z, a, b *float32, k, n int)
//
// z[i*n : i*n+16] += a[i*k+p] * b[p*n : p*n+16], for i up to 4 and p up to k.
TEXT ·product4x16(SB), NOSPLIT, $0-40
	MOVD z+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD k+24(FP), R3
	MOVD n+32(FP), R4
	LSL  $2, R4, R4
	LSL  $2, R3, R5
	ADD  R5, R1, R6
	ADD  R5, R6, R7
	ADD  R5, R7, R8
	ADD  R4, R0, R9
	ADD  R4, R9, R10
	ADD  R4, R10, R11
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1 (R9), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1 (R10), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1 (R11), [V12.S4, V13.S4, V14.S4, V15.S4]

loop16:
	VLD1 (R2), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1R.P 4(R1), [V20.S4]
	VLD1R.P 4(R6), [V21.S4]
	VLD1R.P 4(R7), [V22.S4]
	VLD1R.P 4(R8), [V23.S4]
	VFMLA V20.S4, V16.S4, V0.S4
	VFMLA V20.S4, V17.S4, V1.S4
	VFMLA V20.S4, V18.S4, V2.S4
	VFMLA V20.S4, V19.S4, V3.S4
	VFMLA V21.S4, V16.S4, V4.S4
	VFMLA V21.S4, V17.S4, V5.S4
	VFMLA V21.S4, V18.S4, V6.S4
	VFMLA V21.S4, V19.S4, V7.S4
	VFMLA V22.S4, V16.S4, V8.S4
	VFMLA V22.S4, V17.S4, V9.S4
	VFMLA V22.S4, V18.S4, V10.S4
	VFMLA V22.S4, V19.S4, V11.S4
	VFMLA V23.S4, V16.S4, V12.S4
	VFMLA V23.S4, V17.S4, V13.S4
	VFMLA V23.S4, V18.S4, V14.S4
	VFMLA V23.S4, V19.S4, V15.S4
	ADD  R4, R2
	SUBS $1, R3
	BNE  loop16
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R9)
	VST1 [V8.S4, V9.S4, V10.S4, V11.S4], (R10)
	VST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R11)
	RET
