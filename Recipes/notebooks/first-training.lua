-- %% [markdown]
-- # From scans to a score
--
-- The built-in phantom: organs with a core among look-alikes. Four short epochs in two dimensions, the curve, a held-out
-- case with what was predicted, and the scores. A quarter of a minute on two cores.

-- %%
lunette.roots{ root=os.getenv("LUNETTE_NOTEBOOK_ROOT") or "notebook-data" }
local ds = lunette.phantom{ cases=6 }
ds.labels

-- %% [markdown]
-- ## The plan
--
-- A smaller patch than planned, and why the planner had decided otherwise:

-- %%
local planned = lunette.plan(ds)
print(planned:why("2d.patch_size"))
local plan = planned:derive{ name="small", ["2d"]={ patch_size={32, 32}, batch_size=8 } }
for _, d in ipairs(planned:diff(plan)) do print(d.path) end

-- %% [markdown]
-- ## A training

-- %%
local quick = lunette.trainer{ name="quick", epochs=4, iterations=20, validation_iterations=4 }
local run = lunette.train{ plan=plan, configuration="2d", fold=0, trainer=quick }
run

-- %% [markdown]
-- ## What came of it

-- %%
local scores = run:validate()
print(scores:report())

-- %%
local case = run.split.val[1]
local image = assert(lunette.volume(ds:case(case).images[1]))
local predicted = assert(lunette.volume(run.folder .. "/validation/" .. case .. ds.file_ending))
image:show{ path=run.folder .. "/held-out.png", overlay=predicted,
  reference=assert(lunette.volume(ds:case(case).label)), title=case .. ": reference and prediction" }
