//go:build !linux

package faultfs

import "errors"

func usable() error { return errors.New("it is made for Linux") }

func (f *FS) mount(string) (func() error, error) { return nil, usable() }
