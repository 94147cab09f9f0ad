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

// FIRST gives the first coefficient of an entry, in SI. It is VALUE without what a size of 0 needs: there nothing
// comes of it.
#define FIRST \
	MOVBLZX 4(AX), DX    \
	SHLXQ DX, R8, SI     \
	MOVBLZX 5(AX), DX    \
	MOVQ SI, DI          \
	NOTQ DI              \
	SARQ $63, DI         \
	XORQ DI, SI          \
	SHRXQ DX, SI, SI     \
	XORQ DI, SI          \
	SUBQ DI, SI

// LONG gives the entry of a code that the table does not have. It takes 31 bits at most, so a refill comes before.
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

// func readUnits(r *bitReader, limit int, c *int16, before int, slots *slot, count, x, whole, from int, with *fastVectors) (units, blocks int)
//
// Reads units from the one numbered x on, whole of them, of count blocks each; of the first one from the block numbered
// from on. If whole is 0, it reads that one, but does not end it. c is its first block, and before how many bytes
// behind those of the unit before begin. It also transforms the blocks of the unit before, between two look-ups of the
// block that takes their slot: the processor does so while it waits for the bits. It returns how many units it has
// ended, and how many blocks it has read of the next one.
TEXT ·readUnits(SB), NOSPLIT, $88-96
	MOVQ r+0(FP), DI
	MOVQ c+16(FP), R13
	MOVQ R13, unit-40(SP)
	MOVQ before+24(FP), AX
	MOVQ AX, before-48(SP)
	MOVQ x+48(FP), AX
	MOVQ AX, x-56(SP)
	MOVQ $0, unsafe-64(SP)
	MOVQ slots+32(FP), R15
	MOVQ with+72(FP), R12
	ADDQ $fastVectors_places, R12
	MOVQ bitReader_acc(DI), R8
	MOVQ $63, R9
	SUBQ bitReader_n(DI), R9
	MOVQ bitReader_at(DI), R10
	MOVQ from+64(FP), AX
	MOVQ AX, done-8(SP)
	IMUL3Q $slot__size, AX, BX
	ADDQ BX, R15
	SHLQ $7, AX
	ADDQ AX, R13
	MOVQ bitReader_segment(DI), AX
	ADDQ AX, R10
	ADDQ limit+8(FP), AX
	MOVQ AX, limit-16(SP)
	CMPQ R10, AX
	JGT  return
	REFILL

block: // at least lookBits bits are there
	CMPQ R10, limit-16(SP)
	JGT  return
	MOVQ slot_with(R15), DX
	MOVQ R8, AX
	SHRQ $(64-const_dcBits), AX
	MOVQ coder_dc(DX), DI
	MOVL huffman_short(DI)(AX*4), BX
	MOVQ coder_both(DX), R11

	// Where the block is read again from if the table does not have its first code.
	MOVQ R8, acc-72(SP)
	MOVQ R9, taken-80(SP)
	MOVQ R10, at-88(SP)
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
	JEQ  long0

take0:
	FIRST
	BOTH
	CMPQ slot_waiting(R15), $0
	JEQ  transformed
	MOVQ R13, SI
	ADDQ before-48(SP), SI
	MOVQ slot_plane(R15), BX
	MOVQ slot_first(R15), DI
	ADDQ slot_at(R15), DI
	MOVQ plane_stride(BX), DX
	LEAQ plane_quant(BX), BX
	MOVQ with+72(FP), AX
	INVERSE(unsafe)
	MOVQ $0, slot_waiting(R15)

transformed:
	CMPL CX, $(63-const_reach)
	JGE  near

look:
	LOOK
	REFILL
	TESTQ BX, BX
	JEQ  long1

	FIRST
	BOTH
	CMPL CX, $(63-const_reach)
	JGE  near

	LOOK
	TESTQ BX, BX
	JEQ  long2

	FIRST
	BOTH
	CMPL CX, $(63-const_reach)
	JLT  look

near: // the end: what the second code was taken for may belong to the next block
	CMPL CX, $63
	JGE  end
	LOOK
	REFILL
	TESTQ BX, BX
	JEQ  long3

take3:
	FIRST
	SHRQ $56, BX
	SHLXQ BX, R8, R8
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
	MOVQ x-56(SP), BX
	MOVQ BX, AX
	SUBQ x+48(FP), AX
	CMPQ AX, whole+56(FP)
	JGE  return
	CMPQ unsafe-64(SP), $0
	JNE  return

	// The unit ends: its blocks wait to be transformed, but for those without AC coefficients.
	MOVQ unit-40(SP), R13
	MOVQ slots+32(FP), R15

ended:
	CMPQ BX, slot_units(R15)
	JGE  waits
	MOVQ slot_step(R15), DI
	IMULQ BX, DI
	MOVQ DI, slot_at(R15)
	MOVQ slot_last(R15), AX
	TESTQ AX, AX
	JNE  later
	MOVQ slot_plane(R15), DX
	MOVWLSX (R13), SI
	MOVWLSX plane_quant(DX), AX
	IMULL AX, SI
	MOVWLSX SI, SI
	LEAL const_safeSum(SI), CX
	MOVL $63, AX // plain Go is to transform it if the sum isn't safe
	CMPL CX, $(2*const_safeSum)
	JHI  later
	XORL AX, AX
	ADDL $(4+128*8), SI
	SARL $3, SI
	VMOVD SI, X0
	VPACKUSWB X0, X0, X0
	VPBROADCASTB X0, X0
	ADDQ slot_first(R15), DI
	MOVQ plane_stride(DX), DX
	LEAQ (DX)(DX*2), SI
	LEAQ (DI)(DX*4), CX
	VMOVQ X0, (DI)
	VMOVQ X0, (DI)(DX*1)
	VMOVQ X0, (DI)(DX*2)
	VMOVQ X0, (DI)(SI*1)
	VMOVQ X0, (CX)
	VMOVQ X0, (CX)(DX*1)
	VMOVQ X0, (CX)(DX*2)
	VMOVQ X0, (CX)(SI*1)

later:
	MOVQ AX, slot_waiting(R15)

waits:
	ADDQ $slot__size, R15
	ADDQ $128, R13
	DECQ done-8(SP)
	JNZ  ended
	INCQ BX
	MOVQ BX, x-56(SP)
	MOVQ slots+32(FP), R15
	MOVQ before-48(SP), AX
	MOVQ unit-40(SP), R13
	ADDQ AX, R13
	MOVQ R13, unit-40(SP)
	NEGQ AX
	MOVQ AX, before-48(SP)
	SUBQ x+48(FP), BX
	CMPQ BX, whole+56(FP)
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
	MOVQ x-56(SP), AX
	SUBQ x+48(FP), AX
	MOVQ AX, units+80(FP)
	MOVQ done-8(SP), AX
	MOVQ AX, blocks+88(FP)
	VZEROUPPER
	RET

unsafe:
	MOVQ $1, unsafe-64(SP)
	JMP  transformed

long:
	MOVQ acc-72(SP), R8
	MOVQ taken-80(SP), R9
	MOVQ at-88(SP), R10
	JMP  return

long0:
	REFILL
	LONG
	JMP take0

long1:
long2: // not enough bits are left for a second look-up
	REFILL
	LONG
	FIRST
	BOTH
	CMPL CX, $(63-const_reach)
	JLT  look
	JMP  near

long3:
	LONG
	JMP take3

// longCode makes an entry of pairs, at AX and in BX, of the code at the top of R8, as huffman.next finds it. R15 is the
// slot.
TEXT longCode<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ slot_with(R15), DI
	MOVQ coder_ac(DI), DI
	MOVL $1, DX

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
	MOVQ $64, BX
	SUBQ DI, BX
	ANDQ $63, BX
	SHLQ $8, BX
	ORQ  DX, BX
	ADDL DI, DX // the bits
	SHLQ $32, BX
	ORQ  DX, BX
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
