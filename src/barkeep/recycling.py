class Bounds:
    needs_readings=False
    @classmethod
    def of(cls,s): return cls()
class Reading: pass
def due(*a): return None
