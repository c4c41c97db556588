namespace NanoLora.Data;

/// <summary>Downloads models and adapters from the Hugging Face hub. Nothing else in the library uses the network.</summary>
/// <remarks>
/// A file gets its name once all its bytes are there and have the hash of the listing. What has arrived of it stays when the download ends early, and the next
/// one goes on from there; a lock keeps two processes from writing the same file. Not safe for several threads.
/// </remarks>
public sealed class HubClient : IDisposable
{
    private readonly HubSettings _settings;
    private readonly HubTiming _timing;
    private readonly HubCache _cache;
    private readonly HubHttp _http;

    /// <summary>Asks no server yet.</summary>
    public HubClient(HubSettings settings) : this(settings, new HubTiming()) { }

    internal HubClient(HubSettings settings, HubTiming timing)
    {
        ArgumentNullException.ThrowIfNull(settings);
        (_settings, _timing, _cache, _http) = (settings, timing, new(settings.CacheFolder), new(settings, timing));
    }

    /// <summary>Downloads what is not there yet of a model's files.</summary>
    /// <param name="repository">Its name on the hub, <c>org/name</c>.</param>
    /// <param name="options">Which files, and where to.</param>
    /// <param name="cancellation">Ends it; what has arrived stays.</param>
    /// <exception cref="ArgumentException">The name or the revision is none.</exception>
    /// <exception cref="HubException">The hub does not give the files, gives something else, or they cannot be written.</exception>
    public async Task<HubSnapshot> PullAsync(string repository, HubPullOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new();
        ArgumentNullException.ThrowIfNull(repository);
        if (!HubNames.IsRepository(repository))
            throw new ArgumentException($"\"{HubNames.Shown(repository)}\" is no name of a model on the hub; give one like org/name.");
        if (!HubNames.IsRevision(options.Revision))
            throw new ArgumentException($"\"{HubNames.Shown(options.Revision)}\" is no revision; give a branch, a tag or a commit.");
        if (_settings.Offline) throw new HubException(repository, "HF_HUB_OFFLINE forbids the network; unset it to download.");

        var listing = await ListAsync(repository, options, cancellation).ConfigureAwait(false);
        var files = await ChooseAsync(repository, listing, options, cancellation).ConfigureAwait(false);
        HubPlace place = options.Folder is { } folder ? new FolderPlace(_cache, repository, folder)
            : new CachePlace(_cache, repository, options.Revision, listing.Commit);
        try
        {
            var downloaded = await FetchAsync(repository, listing.Commit, files, place, options, cancellation).ConfigureAwait(false);
            place.End();
            return new(repository, listing.Commit, place.Folder, [.. files.Select(f => f.Name)], files.Sum(f => f.Size), downloaded);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not HubException and not Nn.CheckpointException))
        {
            throw new HubException(repository, $"{place.Folder} cannot be written: {e.Message} Check the rights of the folder and the space on the disk.", e);
        }
    }

    /// <summary>Closes connections.</summary>
    public void Dispose() => _http.Dispose();

    private async Task<HubListing> ListAsync(string repository, HubPullOptions options, CancellationToken cancellation)
    {
        var uri = _http.At($"api/models/{repository}/revision/{Uri.EscapeDataString(options.Revision)}?blobs=true");
        var json = await _timing.RetryAsync(() => _http.ReadAsync(repository, uri, HubListing.MostBytes, cancellation), static () => 0, options.Note,
            cancellation).ConfigureAwait(false);
        return HubListing.Parse(repository, json);
    }

    private async Task<List<HubFile>> ChooseAsync(string repository, HubListing listing, HubPullOptions options, CancellationToken cancellation)
    {
        var names = HubSelection.Of([.. listing.Files.Select(f => f.Name)], options.Include, options.Exclude);
        if (names.Count == 0)
        {
            var some = string.Join(", ", listing.Files.Take(5).Select(f => HubNames.Shown(f.Name)));
            throw new HubException(repository, listing.Files.Count == 0 ? "it has no files." : $"none of its {listing.Files.Count} files "
                + $"({some}{(listing.Files.Count > 5 ? ", …" : "")}) is to be downloaded; say which with --include.");
        }
        Check(repository, names);
        var entries = listing.Files.ToLookup(f => f.Name, StringComparer.Ordinal);
        var files = new List<HubFile>(names.Count);
        foreach (var name in names)
        {
            files.Add(entries[name].First() is (_, { } size, { } hash) ? new(name, size, hash)
                : await AskAsync(repository, listing.Commit, name, options, cancellation).ConfigureAwait(false));
        }
        files.Sort(static (a, b) => a.Size.CompareTo(b.Size));                          // what is wrong with a model shows before its weights come
        return files;
    }

    // A name that systems read differently, or two that some take for one.
    private static void Check(string repository, IReadOnlyList<string> names)
    {
        var known = new Dictionary<string, string>(names.Count, StringComparer.OrdinalIgnoreCase);
        foreach (var name in names)
        {
            if (HubNames.Unportable(name) is { } why) throw Refused(name, why);
            if (!known.TryAdd(name, name)) throw Refused(name, $"\"{HubNames.Shown(known[name])}\" is the same name but for upper and lower case");
        }
        foreach (var name in names)
        {
            for (var end = name.LastIndexOf('/'); end > 0; end = name.LastIndexOf('/', end - 1))
                if (known.ContainsKey(name[..end])) throw Refused(name, "its folder is a file as well");
        }

        HubException Refused(string name, string why) =>
            new(repository, $"\"{HubNames.Shown(name)}\": {why}; nothing was written. Leave it out with --exclude.");
    }

    // Servers that list names alone tell the rest of each file when it is asked for.
    private async Task<HubFile> AskAsync(string repository, string commit, string name, HubPullOptions options, CancellationToken cancellation)
    {
        using var answer = await _timing.RetryAsync(() => _http.SendAsync(repository, HttpMethod.Head, At(repository, commit, name), null, cancellation),
            static () => 0, options.Note, cancellation).ConfigureAwait(false);
        var size = answer.Size ?? answer.Response.Content.Headers.ContentLength;
        return answer.Hash is { } hash && (HubNames.IsHash(hash, 40) || HubNames.IsHash(hash, 64)) && size is >= 0 and <= HubFile.MostBytes
            ? new(name, size.Value, hash)
            : throw new HubException(repository, $"{HubNames.Shown(name)}: the server tells neither in its listing nor in X-Linked-Etag and X-Linked-Size what "
                + "its bytes must be, so it is no hub; check HF_ENDPOINT.");
    }

    private async Task<long> FetchAsync(
        string repository, string commit, IReadOnlyList<HubFile> files, HubPlace place, HubPullOptions options, CancellationToken cancellation)
    {
        var missing = files.ToDictionary(f => f, f => place.Missing(f, cancellation));
        HubSpace.Check(repository, place.Folder, missing.Values.Aggregate(Int128.Zero, static (sum, m) => sum + m));
        long before = 0, fresh = 0, total = files.Sum(f => f.Size);
        foreach (var file in files)
        {
            cancellation.ThrowIfCancellationRequested();
            var held = await HubLock.OpenAsync(place.Lock(file), _timing, () => options.Note?.Invoke($"{file.Name}: another process downloads it; waiting"),
                cancellation).ConfigureAwait(false);
            await using (held.ConfigureAwait(false))
            {
                foreach (var path in (string[])[place.Path(file), place.Partial(file)]) Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                if (!place.Has(file, cancellation) && !place.Take(file, cancellation))
                {
                    var base_ = before;
                    using var download = new HubDownload(_http, _timing, repository, At(repository, commit, file.Name), file)
                    {
                        Progress = done => options.Progress?.Invoke(new(file.Name, base_ + done, total)), Note = options.Note,
                    };
                    await download.ToAsync(place.Path(file), place.Partial(file), cancellation).ConfigureAwait(false);
                    fresh += missing[file];
                }
                place.Show(file, cancellation);
            }
            before += file.Size;
        }
        return fresh;
    }

    private Uri At(string repository, string commit, string name) =>
        _http.At($"{repository}/resolve/{commit}/{string.Join('/', name.Split('/').Select(Uri.EscapeDataString))}");
}
