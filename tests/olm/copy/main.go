// cp -Rv FILE FOLDER: all that OLM's unpacking needs of a cp, without a shell
// or a distribution around it.
package main

import (
	"log"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 4 || os.Args[1] != "-Rv" {
		log.Fatal("usage: cp -Rv FILE FOLDER")
	}
	content, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	target := os.Args[3]
	if info, err := os.Stat(target); err == nil && info.IsDir() {
		target = filepath.Join(target, filepath.Base(os.Args[2]))
	}
	if err := os.WriteFile(target, content, 0o755); err != nil {
		log.Fatal(err)
	}
}
