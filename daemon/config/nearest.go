package config

import "strings"

// nearest returns the candidate with the least edit distance to s (the first of equals) and whether it is near
// enough to be a likely typing error.
func nearest(s string, candidates []string) (best string, near bool) {
	least := -1
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c)); least < 0 || d < least {
			best, least = c, d
		}
	}
	return best, least >= 0 && least <= max(1, (len(best)+1)/3)
}

// distance is the edit distance of two strings in bytes, a swap of neighbours counting as one edit.
func distance(a, b string) int {
	const longest = 64 // bounds the work for hostile input; no key is longer
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	var rows [3][longest + 1]int
	before, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
