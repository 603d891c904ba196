package sse_test

const canSeeUnacked = true
