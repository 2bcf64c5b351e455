"""What the server has loaded that tests fork their processes from: all that a landing, a run or a service asks for.

Whichever test comes first starts the server of its test process, so what one begins with is the same for all. It has
walked an account too, which loads the compiled kernels, and none of it is looked through for garbage.
"""

import gc

from pipelines import across, land
from pipelines.live import backroom, lookout, pages
from tests import killed
from tests.builders import prepare, walked
from tests.test_score_same import one_account

LOADED = (across, backroom, killed, land, lookout, pages)
WALKED = walked(prepare(one_account()))

gc.collect()
gc.freeze()
