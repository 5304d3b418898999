// Package settingsdoc writes docs/SETTINGS.md: the names, types and defaults come from the table of options that the
// daemons themselves read their settings with, the meanings from texts.go. Its test fails when the page is not what
// would be written now, or when an option has no meaning, neither there nor in the table:
//
//	go run ./test/settingsdoc/cmd -w
//
// It may import pkg/config.
package settingsdoc
