// Package config reads the configuration of driftless: one strict TOML file.
//
// # Contract
//
//   - Load and Parse either return a configuration that is complete and valid (defaults filled in, paths
//     expanded, names checked) or Errors, which lists everything that is wrong, each with file, line and column.
//   - No key is ignored: an unknown one is an error that names the nearest valid key, and a value that this
//     version does not carry out yet is refused as "not supported yet".
//   - Reading a configuration runs no command, opens no other file and connects to nothing; symbolic links are looked up to
//     see whether two stores are one place. Passwords are read by Password.Read, when a store is opened.
//   - A secret is a Secret, which no formatting verb, encoder or logger shows.
//   - Reference lists every key with its type, default and meaning. It is made from the very table that
//     drives the parser, and docs/configuration.md is checked against it.
package config
