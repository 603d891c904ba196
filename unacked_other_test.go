//go:build !linux

package sse_test

const canSeeUnacked = false
