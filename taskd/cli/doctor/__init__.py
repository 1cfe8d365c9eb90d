"""`taskd doctor`: whether a running system is well.

command     its options, and the checks one after the other
patient     what the checks look at: the connection, and the reports of the daemons
daemons     versions, leases, clocks
storage     connections, partitions, dead rows, what holds cleanup back
work        plans, marks, stalls
bundle      all of it in a file, without secrets, for somebody who helps
"""
