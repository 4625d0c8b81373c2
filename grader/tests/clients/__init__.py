"""The exercises' solutions under real servers and real clients.

programs.py    find an outside program, or skip with a reason (fail where CI is set)
lighttpd.py    lighttpd with mod_cgi around a folder   -> its address
browser.py     headless Chromium through playwright     -> a page of the wanted size
test_*.py      one file per exercise
"""
