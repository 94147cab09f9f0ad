package tensorflow

import "testing"

// What models need that are known well, in TensorFlow 2.21: those of keras.applications, layers of Keras
// 3 and 2 for pictures, volumes, sequences, strings, lookups and features, tables of every kind, pictures
// and examples that are decoded in the graph, feature columns, loops of TensorFlow 1 with their
// gradients, and the branches that its estimators trained.
func TestWellKnownOperationsAreListed(t *testing.T) {
	for name := range set(`
Add AddN AddV2 All Assert AssignSubVariableOp AssignVariableOp AvgPool AvgPool3D BatchMatMulV2 BiasAdd
BroadcastArgs BroadcastTo Bucketize Cast Cholesky CombinedNonMaxSuppression Complex ComplexAbs ConcatOffset
ConcatV2 Const ControlTrigger Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos CudnnRNNBackpropV3
CudnnRNNV3 Cumsum DecodeImage DecodeJpeg DenseBincount DepthwiseConv2dNative DisableCopyOnRead Einsum
EnsureShape Enter Equal Erfc Exit Exp ExpandDims Fill FloorDiv FloorMod FusedBatchNormV3 GatherV2 Greater
GreaterEqual HashTableV2 HistogramSummary Identity IdentityN ImageProjectiveTransformV3
InitializeTableFromTextFileV2 InvertPermutation IteratorGetNext Less LessEqual Log LogicalAnd
LookupTableExportV2 LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableSizeV2 LoopCond
LowerBound MatMul MatrixInverse Max MaxPool MaxPool3D Maximum Mean Merge MergeSummary MergeV2Checkpoints
Minimum Mul MutableDenseHashTableV2 MutableHashTableV2 Neg NextIteration NoOp NotEqual OneHot OptionalFromValue
OptionalNone Pack Pad
ParseExampleV2 ParseSequenceExampleV2 PartitionedCall Placeholder PlaceholderWithDefault Prod RFFT
RaggedTensorToTensor RandomUniform Range ReadVariableOp Real RealDiv Relu Relu6 Reshape ResizeBilinear
ResourceApplyAdam ResourceGather ResourceScatterAdd RestoreV2 ReverseV2 Rsqrt SaveV2 SegmentSum Select
SelectV2 Shape ShapeN ShardedFilename Sigmoid Sin Size Slice Softmax SparseCross SparseFillEmptyRows
SparseReshape SparseSegmentMean SparseSegmentMeanGrad SparseToDense Split SplitV Sqrt Square
SquaredDifference Squeeze StackPopV2 StackPushV2 StackV2 StatefulPartitionedCall StatelessCase
StatelessRandomGetKeyCounter StatelessRandomUniformV2 StatelessWhile StaticRegexFullMatch StaticRegexReplace
StopGradient StridedSlice StringJoin StringLower StringNGrams StringSplit StringSplitV2
StringToHashBucketFast Sub Sum Svd Switch Tan Tanh TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3
TensorArrayScatterV3 TensorArrayV3 TensorArrayWriteV3 TensorListFromTensor TensorListGetItem
TensorListReserve TensorListSetItem TensorListStack Tile TopKV2 Transpose TruncatedNormal UnicodeDecode
Unique UniqueWithCounts Unpack UnsortedSegmentSum VarHandleOp VarIsInitializedOp Where While ZerosLike`) {
		if !listed[name] && !loaders[name] {
			t.Errorf("%s is refused", name)
		}
	}
}

// What reaches out, of TensorFlow 2.21, by what it does.
func TestWhatReachesOutIsNotListed(t *testing.T) {
	for name := range set(`
# files
ReadFile WriteFile MatchingFiles WholeFileReaderV2 TextLineReaderV2 TFRecordReaderV2 FixedLengthRecordReaderV2 LMDBReader
RecordInput LoadAndRemapMatrix GenerateVocabRemapping ImmutableConst DumpTensor Skipgram CalibrationStatisticsSaver
TextLineDataset TFRecordDataset CSVDataset SqlDataset CacheDatasetV2 LoadDataset SaveDatasetV2 SnapshotDatasetV2
CreateSummaryFileWriter CreateSummaryDbWriter WriteSummary ImportEvent DistributedSave DTensorRestoreV2
# connections, and other processes
RpcServer RpcClient DataServiceDatasetV4 RegisterDatasetV2 RemoteCall _Send _Recv Send Recv CollectiveReduceV2
ConfigureDistributedTPU TPUPartitionedCall FileSystemSetConfiguration WorkerHeartbeat
# code
PyFunc PyFuncStateless EagerPyFunc XlaCallModule XlaCustomCallV2 XlaLaunch MlirPassthroughOp DatasetFromGraph
# the end of the process, and of its time
Abort SleepOp SleepIdentityOp MutexLock
# memory of others
Empty GetSessionTensor InplaceUpdate DebugIdentityV3 TemporaryVariable
# what shows on a terminal
Print`) {
		if listed[name] || loaders[name] {
			t.Errorf("%s is listed", name)
		}
	}
}
