// Command cmd prints docs/COMPATIBILITY.md, or with -w writes it; run it from the root of the repository.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/banyanmq/banyan/test/compat"
)

func main() {
	write := flag.Bool("w", false, "write docs/COMPATIBILITY.md instead of printing it")
	flag.Parse()
	page, err := compat.Page()
	if err != nil {
		log.Fatal(err)
	}
	if !*write {
		_, err = os.Stdout.Write(page)
	} else {
		err = os.WriteFile("docs/COMPATIBILITY.md", page, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
