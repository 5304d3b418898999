// Command cmd (go run ./test/settingsdoc/cmd) prints docs/SETTINGS.md, or with -w writes it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/banyanmq/banyan/test/settingsdoc"
)

func main() {
	write := flag.Bool("w", false, "write docs/SETTINGS.md instead of printing it")
	flag.Parse()
	page, err := settingsdoc.Page()
	if err == nil {
		if *write {
			err = os.WriteFile("docs/SETTINGS.md", page, 0o644)
		} else {
			_, err = os.Stdout.Write(page)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
