module gohand

go 1.26.0

require github.com/yalue/onnxruntime_go v1.27.0

require golang.org/x/image v0.34.0
