#!/bin/sh
# Generates internal/oippb and internal/tfpb from spec/proto, with pinned generators in
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
  for file in "$folder"/*.pb.go; do # whose names are others' too: see internal/pbregistry
    if grep -q 'protoimpl.TypeBuilder{' "$file"; then
      sed -i -e 's|protoimpl.TypeBuilder{|&\n\t\tTypeRegistry: pbregistry.Types,|' \
        -e 's|protoimpl.DescBuilder{|&\n\t\t\tFileRegistry: pbregistry.Files,|' \
        -e '0,/^import (/s||&\n\t"github.com/forgo-ml/forgo/internal/pbregistry"|' "$file"
    fi
  done
  go tool -modfile=go.tool.mod gofumpt -w "$folder"/*.pb.go
}

generate internal/oippb open_inference_grpc.proto
generate internal/tfpb tensorflow.proto tensorflow_error.proto tensorflow_serving.proto
