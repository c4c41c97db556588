namespace NanoLora.Nn;

/// <summary>
/// Which samples make which batch: every pass is a new shuffle, drawn from the seed and the pass alone, so any step can be asked for. Where samples differ in
/// length, each <see cref="Window"/> batches of the shuffle are dealt anew, in the order of their lengths, and the batches are shuffled: little is padded, and
/// which samples meet still changes with each pass.
/// </summary>
internal sealed class Sampler
{
    private const int Window = 32;

    private readonly int[] _order;
    private readonly int[]? _lengths;                           // null where all are the same
    private readonly int _batchSize, _perPass;
    private readonly ulong _seed;
    private long _pass = -1;

    public Sampler(IDataset data, int batchSize, ulong seed)
    {
        (_order, _batchSize, _seed, _perPass) = (new int[data.Count], batchSize, seed, (data.Count + batchSize - 1) / batchSize);
        var lengths = new int[data.Count];
        for (var i = 0; i < lengths.Length; i++) lengths[i] = data.Length(i);
        if (lengths.AsSpan().ContainsAnyExcept(lengths[0])) _lengths = lengths;
    }

    /// <summary>The samples of a batch, from 0 on over all passes.</summary>
    public ReadOnlySpan<int> Batch(long number)
    {
        var pass = number / _perPass;
        if (pass != _pass)
        {
            for (var i = 0; i < _order.Length; i++) _order[i] = i;
            new Philox(_seed, 0x5A3Dul << 32 | (ulong)pass).Shuffle<int>(_order);
            if (_lengths is not null) Deal(new Philox(_seed, 0x5A3Eul << 32 | (ulong)pass));
            _pass = pass;
        }
        var start = (int)(number % _perPass) * _batchSize;
        return _order.AsSpan(start, Math.Min(_batchSize, _order.Length - start));
    }

    // Among equals the shuffle's order stays: the key is the length, then the place.
    private void Deal(Philox random)
    {
        var keys = new long[_order.Length];
        for (var i = 0; i < keys.Length; i++) keys[i] = (long)_lengths![_order[i]] << 32 | (uint)i;
        for (var start = 0; start < keys.Length; start += Window * _batchSize)
        {
            var length = Math.Min(Window * _batchSize, keys.Length - start);
            keys.AsSpan(start, length).Sort(_order.AsSpan(start, length));
        }
        // A last batch that is not full stays the last.
        var batches = new int[_order.Length / _batchSize];
        for (var b = 0; b < batches.Length; b++) batches[b] = b;
        random.Shuffle<int>(batches);
        var sorted = (int[])_order.Clone();
        for (var b = 0; b < batches.Length; b++) sorted.AsSpan(batches[b] * _batchSize, _batchSize).CopyTo(_order.AsSpan(b * _batchSize));
    }
}
