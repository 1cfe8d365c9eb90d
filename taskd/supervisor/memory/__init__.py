"""The master's eye on memory: it looks once a second at every process of its tree.

    procfs ──► course (one worker's life) ──► watch ──► board ──► maintenance ──► memory_reading
                     machine (limits, OOM) ──┘  │ │
                        rules, relief ◄─────────┘ └──► suspicion: trend (one worker's live bytes)
                        whom to replace or kill        who leaks: canaries find out why

What is read is resident memory without what is shared, of a worker and of all processes below it:
1.7 us a process through a descriptor that is kept open.
"""
