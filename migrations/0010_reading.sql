-- Since when a datafeed's job has all that its source has, JSON; of one that was never started, nothing.
ALTER TABLE datafeeds ADD COLUMN reading TEXT;
