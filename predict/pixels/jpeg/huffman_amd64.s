//go:build amd64

#include "go_asm.h"
#include "textflag.h"
#include "idct_amd64.h"

// REFILL makes sure of 56 bits at least in R8, and goes on in R10. R9 counts in its lowest byte what was taken of 63
// bits. No look-up waits for it: the bits that one needs are there before.
#define REFILL \
	MOVBLZX R9, R9        \
	MOVQ (R10), SI        \
	BSWAPQ SI             \
	MOVQ R9, DI           \
	NOTQ DI               \
	SHRXQ DI, SI, SI      \
	ORQ  SI, R8           \
	MOVL R9, DI           \
	SHRL $3, DI           \
	ADDQ DI, R10          \
	ANDL $7, R9

// LOOK finds an entry of pairs, in BX and at AX.
#define LOOK \
	MOVQ R8, AX                     \
	SHRQ $(64-const_lookBits), AX   \
	MOVQ (R11)(AX*8), BX            \
	LEAQ (R11)(AX*8), AX

// VALUE gives the value at the top of SI, as valueOf does. DX is 63 less its size.
#define VALUE \
	MOVQ SI, DI        \
	NOTQ DI            \
	SARQ $63, DI       \
	XORQ DI, SI        \
	SHRQ $1, SI        \
	SHRXQ DX, SI, SI   \
	XORQ DI, SI        \
	SUBQ DI, SI

// PART gives the first coefficient of an entry that does not have all of it.
#define PART \
	MOVBLZX 4(AX), DX    \
	SHLXQ DX, R8, SI     \
	MOVBLZX 5(AX), DX    \
	VALUE

// LONG gives the entry of a code that the table does not have.
#define LONG \
	LEAQ entry-32(SP), AX \
	CALL longCode<>(SB)

// BOTH takes an entry of pairs. SI is its first coefficient.
#define BOTH \
	SHLXQ BX, R8, R8          \
	ADDL BX, R9               \
	MOVBLZX 3(AX), BX         \
	ADDL CX, BX               \
	MOVBLZX (R12)(BX*1), BX   \
	MOVBLSX 6(AX), DI         \
	MOVW DI, (R13)(BX*2)      \
	MOVBLZX 2(AX), DX         \
	ADDL CX, DX               \
	MOVBLZX (R12)(DX*1), DX   \
	MOVW SI, (R13)(DX*2)      \
	MOVBLZX 1(AX), DX         \
	ADDL DX, CX

// func readBlocks(r *bitReader, limit int, c *int16, before int, slots *slot, count int, with *fastVectors) int
//
// Reads count blocks into c. It also transforms those of the unit before, which are so many bytes from c, between two
// look-ups of the block that takes their slot: the processor does so while it waits for the bits.
TEXT ·readBlocks(SB), NOSPLIT, $32-64
	MOVQ r+0(FP), DI
	MOVQ c+16(FP), R13
	MOVQ slots+32(FP), R15
	MOVQ with+48(FP), R12
	ADDQ $fastVectors_places, R12
	MOVQ bitReader_acc(DI), R8
	MOVQ $63, R9
	SUBQ bitReader_n(DI), R9
	MOVQ bitReader_at(DI), R10
	MOVQ $0, done-8(SP)
	MOVQ bitReader_segment(DI), AX
	ADDQ AX, R10
	ADDQ limit+8(FP), AX
	MOVQ AX, limit-16(SP)
	CMPQ R10, AX
	JGT  return
	REFILL

block: // at least 11 bits are there
	CMPQ R10, limit-16(SP)
	JGT  return
	MOVQ slot_with(R15), DX
	MOVQ R8, AX
	SHRQ $(64-const_lookBits), AX
	MOVQ coder_dc(DX), DI
	MOVL huffman_fast(DI)(AX*4), BX
	MOVQ coder_both(DX), R11

	// The state that the block is read again from where the table does not have its first code.
	MOVQ r+0(FP), DI
	MOVQ R8, bitReader_acc(DI)
	MOVBLZX R9, R9
	MOVQ R9, SI
	NEGQ SI
	ADDQ $63, SI
	MOVQ SI, bitReader_n(DI)
	MOVQ R10, SI
	SUBQ bitReader_segment(DI), SI
	MOVQ SI, bitReader_at(DI)

	VPXOR Y0, Y0, Y0
	VMOVDQU Y0, (R13)
	VMOVDQU Y0, 32(R13)
	VMOVDQU Y0, 64(R13)
	VMOVDQU Y0, 96(R13)
	REFILL
	TESTL BX, BX
	JZ   long
	MOVL BX, DX
	SHRL $16, DX
	SHLXQ DX, R8, SI
	SHLXQ BX, R8, R8
	SHRL $8, DX
	ADDL BX, R9
	VALUE
	MOVQ slot_plane(R15), DX
	ADDL plane_previous(DX), SI
	MOVL SI, previous-24(SP)
	MOVW SI, (R13)
	XORL CX, CX // the last place

	LOOK
	TESTQ BX, BX
	JLE  part0
	MOVWLZX 4(AX), SI

take0:
	BOTH
	CMPQ slot_waiting(R15), $0
	JEQ  transformed
	MOVQ R13, SI
	ADDQ before+24(FP), SI
	MOVQ slot_plane(R15), BX
	MOVQ slot_first(R15), DI
	ADDQ slot_at(R15), DI
	MOVQ plane_stride(BX), DX
	LEAQ plane_quant(BX), BX
	MOVQ with+48(FP), AX
	INVERSE(transformed)
	MOVQ $0, slot_waiting(R15)

transformed:
	CMPL CX, $(63-const_reach)
	JGE  near

look:
	LOOK
	REFILL
	TESTQ BX, BX
	JLE  part1
	MOVWLZX 4(AX), SI

take1:
	BOTH
	CMPL CX, $(63-const_reach)
	JGE  near

	LOOK
	TESTQ BX, BX
	JLE  part2
	MOVWLZX 4(AX), SI

take2:
	BOTH
	CMPL CX, $(63-const_reach)
	JLT  look

near: // the end: what the second code was taken for may belong to the next block
	CMPL CX, $63
	JGE  end
	LOOK
	REFILL
	TESTQ BX, BX
	JLE  part3
	MOVWLZX 4(AX), SI

take3:
	SHRQ $56, BX
	SHLXQ BX, R8, R8
	ANDL $63, BX
	ADDL BX, R9
	MOVBLZX 2(AX), BX
	LEAL (BX)(CX*1), DX
	MOVBLZX (R12)(DX*1), DX
	MOVW SI, (R13)(DX*2)
	MOVBLZX 1(AX), DX
	CMPL BX, $const_nowhere
	CMOVLEQ DX, BX
	ADDL BX, CX
	JMP  near

end:
	MOVL previous-24(SP), AX
	MOVQ slot_plane(R15), DX
	MOVL AX, plane_previous(DX)
	ANDL $(const_blockEnd-1), CX
	MOVL $63, AX
	CMPL CX, AX
	CMOVLGT AX, CX
	MOVQ CX, slot_last(R15)
	ADDQ $slot__size, R15
	ADDQ $128, R13
	MOVQ done-8(SP), AX
	INCQ AX
	MOVQ AX, done-8(SP)
	CMPQ AX, count+40(FP)
	JLT  block

return:
	MOVQ r+0(FP), DI
	MOVQ R8, bitReader_acc(DI)
	MOVBLZX R9, R9
	MOVQ $63, SI
	SUBQ R9, SI
	MOVQ SI, bitReader_n(DI)
	SUBQ bitReader_segment(DI), R10
	MOVQ R10, bitReader_at(DI)
	MOVQ done-8(SP), AX
	MOVQ AX, ret+56(FP)
	VZEROUPPER
	RET

part0:
	REFILL
	TESTQ BX, BX
	JNE  known0
	LONG

known0:
	PART
	JMP take0

part1:
	TESTQ BX, BX
	JNE  known1
	LONG

known1:
	PART
	JMP take1

part2:
	REFILL
	TESTQ BX, BX
	JNE  known2
	LONG

known2:
	PART
	JMP take2

part3:
	TESTQ BX, BX
	JNE  known3
	LONG

known3:
	PART
	JMP take3

long:
	MOVQ done-8(SP), AX
	MOVQ AX, ret+56(FP)
	VZEROUPPER
	RET

// longCode makes an entry of pairs, at AX and in BX, of a code at the top of R8 that is longer than lookBits, as
// huffman.next finds it. R15 is the slot.
TEXT longCode<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ slot_with(R15), DI
	MOVQ coder_ac(DI), DI
	MOVL $(const_lookBits+1), DX

length:
	MOVL $64, BX
	SUBL DX, BX
	SHRXQ BX, R8, SI
	CMPL SI, huffman_maxCode(DI)(DX*4)
	JLE  found
	INCL DX
	JMP  length

found: // SI becomes the symbol
	CMPL DX, $16
	JGT  none
	ADDL huffman_offset(DI)(DX*4), SI
	ANDL $255, SI
	MOVBLZX huffman_values(DI)(SI*1), SI
	JMP  symbol

none:
	XORL SI, SI

symbol:
	MOVL SI, DI
	ANDL $15, DI // the size
	SHRL $4, SI  // the run
	MOVQ $63, BX
	SUBQ DI, BX
	SHLQ $8, BX
	ORQ  DX, BX
	ADDL DI, DX // the bits
	SHLQ $32, BX
	ORQ  DX, BX
	ORL  $const_partly, DX
	SHLQ $56, DX
	ORQ  DX, BX
	TESTL DI, DI
	JEQ  empty
	INCL SI
	MOVL SI, DX
	SHLL $8, DX
	ORL  SI, DX
	SHLL $8, DX
	ORL  SI, DX
	SHLL $8, DX
	ORQ  DX, BX
	MOVQ BX, (AX)
	RET

empty:
	MOVL $(const_nowhere<<24 | const_nowhere<<16 | const_blockEnd<<8), DX
	MOVL $(const_nowhere<<24 | const_nowhere<<16 | const_farthest<<8), DI
	CMPL SI, $15
	CMOVLEQ DI, DX
	ORQ  DX, BX
	MOVQ BX, (AX)
	RET
