"""How fluid the window stays: longest gaps of its event loop, and how soon work is cancelled."""
