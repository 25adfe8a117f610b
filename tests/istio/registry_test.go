package istio

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// repository is where images are pulled from; agents speak plain HTTP to the loopback.
const repository = "127.0.0.1:5000/holdfast"

// serveRegistry starts an OCI registry that holds what is pushed while the test runs.
func serveRegistry(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:5000")
	must(t, err)
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
}

// shipped is the folder of the image: what `make image` wrote, or the same made here of the module alone.
func shipped(t *testing.T) string {
	t.Helper()
	if folder := os.Getenv("HOLDFAST_IMAGE"); folder != "" {
		return folder
	}
	module, err := os.ReadFile(os.Getenv("HOLDFAST_WASM"))
	must(t, err)
	return packed(t, module)
}

// packed writes the layout of an image whose one layer holds the module under the name that Istio looks for.
func packed(t *testing.T, module []byte) string {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, static.NewLayer(archive(t, module), types.OCILayer))
	must(t, err)
	folder, err := layout.Write(t.TempDir(), empty.Index)
	must(t, err)
	must(t, folder.AppendImage(image))
	return string(folder)
}

func archive(t *testing.T, module []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	files := tar.NewWriter(compressed)
	must(t, files.WriteHeader(&tar.Header{Name: "plugin.wasm", Mode: 0o444, Size: int64(len(module))}))
	_, err := files.Write(module)
	must(t, err)
	must(t, files.Close())
	must(t, compressed.Close())
	return out.Bytes()
}

// renewed is the next version: the same module with a section more, which changes its digest and nothing that it does.
func renewed(t *testing.T, folder string) string {
	t.Helper()
	image, _ := pushable(t, folder)
	layers, err := image.Layers()
	must(t, err)
	content, err := layers[len(layers)-1].Uncompressed()
	must(t, err)
	files := tar.NewReader(content)
	for {
		header, err := files.Next()
		must(t, err)
		if header.Name == "plugin.wasm" {
			break
		}
	}
	module, err := io.ReadAll(files)
	must(t, err)
	return packed(t, append(module, "\x00\x08\x07renewed"...))
}

// pushable is the image of a layout, and its digest.
func pushable(t *testing.T, folder string) (v1.Image, v1.Hash) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(folder)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%s/index.json: %d images, and one is wanted", folder, len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	return image, manifest.Manifests[0].Digest
}

// push puts the image of a layout into the registry; agents pull it by the reference that this returns.
func push(t *testing.T, folder string) string {
	t.Helper()
	image, digest := pushable(t, folder)
	to, err := name.NewDigest(repository + "@" + digest.String())
	must(t, err)
	must(t, remote.Write(to, image))
	return "oci://" + to.String()
}
