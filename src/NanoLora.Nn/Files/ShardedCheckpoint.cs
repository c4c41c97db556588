using System.Text.Json;

namespace NanoLora.Nn;

/// <summary>
/// A checkpoint in several files: an index, <c>{"metadata": ..., "weight_map": {tensor: file}}</c>, and the files beside it.
/// The index says which tensors there are; each must be in the file that is named for it. Files outside the index's folder are refused.
/// </summary>
public sealed unsafe class ShardedCheckpoint : Checkpoint
{
    private readonly Dictionary<string, Checkpoint> _shards = new(StringComparer.Ordinal);
    private readonly Dictionary<TensorEntry, Checkpoint> _shardOf = new(ReferenceEqualityComparer.Instance);

    /// <summary>Reads the mapped index and opens all shards; the index may be closed afterwards.</summary>
    internal ShardedCheckpoint(MappedFile index) : base(index.Path)
    {
        try
        {
            if (index.Length > FileKind.MaxHeader) throw Error("file", $"an index of {index.Length} bytes is above the limit of {FileKind.MaxHeader}.");
            using var json = Parse(index);
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("weight_map", out var map)
                || map.ValueKind != JsonValueKind.Object)
                throw Error("weight_map", "is missing or no object of tensor names and files; this is no index of shards, or it is damaged.");
            List(Read(map));
            if (json.RootElement.TryGetProperty("metadata", out var metadata) && metadata.ValueKind == JsonValueKind.Object)
                Metadata = metadata.EnumerateObject().ToDictionary(static p => p.Name, static p => p.Value.ToString(), StringComparer.Ordinal);
        }
        catch (InvalidOperationException e)   // an escaped half of a surrogate pair passes the parser, and throws when the text is taken
        {
            Dispose();
            throw Error("file", "holds a text that is no valid Unicode; download the index again.", e);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private protected override byte* Locate(TensorEntry entry) => (byte*)_shardOf[entry].Address(entry);

    private protected override FileWindow Look(TensorEntry entry, long start, long count) => _shardOf[entry].Window(entry, start, count);

    private protected override byte* LocatePrivate(TensorEntry entry) => (byte*)_shardOf[entry].PrivateAddress(entry);

    private protected override void Close()
    {
        foreach (var shard in _shards.Values) shard.Dispose();
    }

    private JsonDocument Parse(MappedFile index)
    {
        try
        {
            return JsonDocument.Parse(index.Span(0, (int)index.Length).ToArray(), new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw Error("file", $"is no valid JSON index; download it again. ({e.Message})", e);
        }
    }

    private List<TensorEntry> Read(JsonElement map)
    {
        var entries = new List<TensorEntry>();
        foreach (var item in map.EnumerateObject())
        {
            var name = item.Name;
            if (item.Value.ValueKind != JsonValueKind.String) throw Error(name, "weight_map must name a file here; download the index again.");
            var shard = Shard(name, item.Value.GetString()!);
            if (!shard.TryGet(name, out var entry)) throw Error(name, $"is not in {shard.Path}, where weight_map says it is; download index and shards again.");
            _shardOf.Add(entry, shard);
            entries.Add(entry);
        }
        return entries;
    }

    private Checkpoint Shard(string tensor, string file)
    {
        if (_shards.TryGetValue(file, out var shard)) return shard;
        if (file.Length == 0 || file is "." or ".." || file.AsSpan().IndexOfAny("/\\:\0") >= 0)
            throw Error(tensor, $"weight_map names the file \"{file}\"; only files beside the index are read, name one of them.");
        var path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path) ?? "", file);
        if (!File.Exists(path)) throw Error(tensor, $"its shard {file} is missing; download it into the folder of the index.");
        return _shards[file] = OpenFile(path, allowIndex: false);
    }
}
