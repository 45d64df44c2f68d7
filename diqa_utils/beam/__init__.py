"""Work for many machines, by Apache Beam: one machine runs it too.

Source:
    Apache Beam, https://beam.apache.org
"""
