def usable_cpus(): return 2
def choose_workers(s,c,m,w): return c if s=="auto" else int(s)
