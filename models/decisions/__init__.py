"""What people decide about payout requests, held to the state machine, the policy and each other.

machine.py    states, who may make which move
approval.py   how many people must agree
desk.py       acting on requests: one at a time or the clean ones in one go
"""
