"""Does the sandbox hold what it promises?"""
