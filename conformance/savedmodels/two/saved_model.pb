¥
ˇ—
D
AddV2
x"T
y"T
z"T"
Ttype:
2	Äê

NoOp
C
Placeholder
output"dtype"
dtypetype"
shapeshape:
<
Sub
x"T
y"T
z"T"
Ttype:
2	"serve*2.21.02v2.21.0-rc1-5-ga481b10260dÈ
d
aPlaceholder*'
_output_shapes
:ˇˇˇˇˇˇˇˇˇ*
dtype0*
shape:ˇˇˇˇˇˇˇˇˇ
d
bPlaceholder*'
_output_shapes
:ˇˇˇˇˇˇˇˇˇ*
dtype0*
shape:ˇˇˇˇˇˇˇˇˇ
D
addAddV2ab*
T0*'
_output_shapes
:ˇˇˇˇˇˇˇˇˇ
B
subSubab*
T0*'
_output_shapes
:ˇˇˇˇˇˇˇˇˇ

initNoOp"™*√
serving_defaultØ

a
a:0ˇˇˇˇˇˇˇˇˇ

b
b:0ˇˇˇˇˇˇˇˇˇ*

difference
sub:0ˇˇˇˇˇˇˇˇˇ#
sum
add:0ˇˇˇˇˇˇˇˇˇtensorflow/serving/predict