namespace NanoLora.Fuzz;

/// <summary>What a reader must not do with any input at all.</summary>
public sealed class FindingException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// A reader of files from anywhere, as a function of bytes: it loads, or refuses with the exception it documents, which names the file and says more.
/// Anything else is a <see cref="FindingException"/>: another exception, memory that a few bytes claim, a file or folder that was not there before.
/// A hang and a crash of the process are seen from outside.
/// </summary>
public abstract class FuzzTarget : IDisposable
{
    private readonly string _root;
    private readonly byte[] _scratch = new byte[1 << 16];

    /// <summary>Starts in an empty folder of its own.</summary>
    protected FuzzTarget()
    {
        _root = Directory.CreateTempSubdirectory("nanolora-fuzz-").FullName;
        Folder = Path.Combine(_root, "in");
        Directory.CreateDirectory(Folder);
    }

    /// <summary>All targets by name.</summary>
    public static IReadOnlyList<string> Names { get; } = ["safetensors", "pytorch", "peft", "arrays", "pictures", "tables", "texts", "plans", "templates"];

    /// <summary>Where inputs lie as files; a reader must leave nothing else here.</summary>
    protected string Folder { get; }

    /// <summary>Bytes that a reader may allocate on the managed heap whatever the input is: objects, messages, buffers.</summary>
    protected virtual long AllocationFloor => 2 << 20;

    /// <summary>Bytes that it may allocate for each byte of the input.</summary>
    protected virtual long AllocationPerByte => 512;

    /// <summary>
    /// The most time a reader may take, of the process and not of the clock, for a busy machine is no hang; null where other threads are at work too.
    /// </summary>
    public TimeSpan? MostTime { get; init; }

    /// <summary>What the last run did, for a person.</summary>
    public string Outcome { get; private set; } = "";

    /// <summary>The target of that name.</summary>
    public static FuzzTarget Create(string name, TimeSpan? mostTime = null) => name switch
    {
        "safetensors" => new SafetensorsTarget { MostTime = mostTime },
        "pytorch" => new PyTorchTarget { MostTime = mostTime },
        "peft" => new PeftTarget { MostTime = mostTime },
        "arrays" => new ArraysTarget { MostTime = mostTime },
        "pictures" => new PicturesTarget { MostTime = mostTime },
        "tables" => new TablesTarget { MostTime = mostTime },
        "texts" => new TextsTarget { MostTime = mostTime },
        "plans" => new PlansTarget { MostTime = mostTime },
        "templates" => new TemplatesTarget { MostTime = mostTime },
        _ => throw new ArgumentException($"{name}: there is no such reader; there are {string.Join(", ", Names)}."),
    };

    /// <summary>Gives one input to the reader.</summary>
    /// <exception cref="FindingException">The reader did what it must not.</exception>
    public void Run(byte[] input)
    {
        ArgumentNullException.ThrowIfNull(input);
        foreach (var file in Write(input)) _expected.Add(file);
        var (allocated, time) = (GC.GetAllocatedBytesForCurrentThread(), Environment.CpuUsage.TotalTime);
        var refusal = Refusal();
        (allocated, time) = (GC.GetAllocatedBytesForCurrentThread() - allocated, Environment.CpuUsage.TotalTime - time);
        Outcome = $"{(refusal is null ? "loads" : refusal.Message)} [{allocated} bytes allocated]";
        var limit = AllocationFloor + AllocationPerByte * input.Length;
        if (allocated > limit) throw new FindingException($"{allocated} bytes allocated for an input of {input.Length}, more than {limit}: {Outcome}");
        if (time > MostTime) throw new FindingException($"took {time.TotalSeconds:0.0} s: {Outcome}");
        foreach (var entry in Directory.EnumerateFileSystemEntries(_root, "*", SearchOption.AllDirectories))
            if (entry != Folder && !_expected.Contains(entry)) throw new FindingException($"{entry} was not there before");
        Clean();
        _expected.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what a target keeps between runs.</summary>
    protected virtual void Dispose(bool disposing) => Directory.Delete(_root, recursive: true);

    /// <summary>Lays the input out as files; gives their paths.</summary>
    protected abstract IReadOnlyList<string> Write(byte[] input);

    /// <summary>Reads the files whole.</summary>
    protected abstract void Read();

    /// <summary>Whether the reader documents this as a refusal.</summary>
    protected abstract bool IsRefusal(Exception e);

    /// <summary>Checks what must hold between two inputs.</summary>
    protected virtual void Clean() { }

    /// <summary>A part of the input as a file, in place of the one before.</summary>
    protected string Put(string name, ReadOnlySpan<byte> bytes)
    {
        var path = Path.Combine(Folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    /// <summary>Takes the bytes away piece by piece, so that each is looked at.</summary>
    protected void Look(ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length > 0; bytes = bytes[Math.Min(bytes.Length, _scratch.Length)..]) bytes[..Math.Min(bytes.Length, _scratch.Length)].CopyTo(_scratch);
    }

    private readonly HashSet<string> _expected = new(StringComparer.Ordinal);

    private Exception? Refusal()
    {
        try
        {
            Read();
            return null;
        }
        catch (Exception e) when (IsRefusal(e))
        {
            if (!e.Message.Contains(Folder, StringComparison.Ordinal) || e.Message.Length < Folder.Length + 20)
                throw new FindingException($"a refusal that does not name the file and say what is wrong: {e.Message}", e);
            return e;
        }
        catch (Exception e) when (e is not FindingException)
        {
            throw new FindingException($"{e.GetType().Name} is no documented refusal: {e.Message}", e);
        }
    }
}
