package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// push ARCHIVE REFERENCE: puts a docker-archive or an OCI layout (a tar of
// either) into a plain-HTTP registry under that name.
func push() {
	if len(os.Args) != 3 {
		log.Fatal("usage: kube push ARCHIVE REFERENCE")
	}
	if err := pushImage(os.Args[1], os.Args[2]); err != nil {
		log.Fatalf("cannot push %s as %s: %v", os.Args[1], os.Args[2], err)
	}
}

func pushImage(archive, reference string) error {
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unpack(archive, dir); err != nil {
		return err
	}
	var image v1.Image
	if _, missing := os.Stat(filepath.Join(dir, "index.json")); missing == nil {
		image, err = firstImage(dir)
	} else {
		image, err = tarball.ImageFromPath(archive, nil)
	}
	if err != nil {
		return err
	}
	return remote.Write(ref, image)
}

func firstImage(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) == 0 {
		return nil, errors.New("its index names no image")
	}
	return index.Image(manifest.Manifests[0].Digest)
}

func unpack(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("entry %q points outside the archive", header.Name)
		}
		path := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, reader)
		if err := errors.Join(err, out.Close()); err != nil {
			return err
		}
	}
}
