#!/bin/sh
# Generates serve/oip/pb and serve/tfserving/pb from spec/proto, with pinned generators in
# build/proto. The results are committed: only a change of a .proto file needs this script.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/build/proto
if [ ! -x "$tools/venv/bin/python" ]; then
  python3 -m venv "$tools/venv"
fi
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check grpcio-tools==1.80.0
GOBIN=$tools go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GOBIN=$tools go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

generate() { # into a folder, from files
  folder=$1
  shift
  mkdir -p "$folder"
  PATH=$tools:$PATH "$tools/venv/bin/python" -m grpc_tools.protoc -I spec/proto \
    --go_out="$folder" --go_opt=paths=source_relative \
    --go-grpc_out="$folder" --go-grpc_opt=paths=source_relative \
    "$@"
}

generate serve/oip/pb open_inference_grpc.proto
generate serve/tfserving/pb tensorflow.proto tensorflow_error.proto tensorflow_serving.proto
