package maildir

import "syscall"

// changeTime returns the ctime in seconds and nanoseconds.
func changeTime(st *syscall.Stat_t) (sec, nsec int64) { return int64(st.Ctim.Sec), int64(st.Ctim.Nsec) }
